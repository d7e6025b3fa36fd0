// Package simulate runs the controller, its planner, executor, observer and
// store included, against the engine in memory, in a world where everything
// goes wrong that can: calls fail, hang, have their effect and lose their reply,
// events get lost, the controller is killed at any call and started again,
// people edit and meddle. After each step it checks what must hold always; at
// last, when nothing goes wrong any more, that all comes to what is written,
// and to rest.
//
// A history follows from its seed alone, bit for bit. Time is a
// testing/synctest bubble's. Each call to the engine waits at a gate; between
// two steps everybody waits, and a step lets one thing happen: one call is
// answered, one event comes, one person does one thing, or time passes. What
// happens is drawn, and the draws of a history are its tape: a failing one is
// made shorter by leaving steps out and is told as a story.
//
// All is in tests, as it needs a testing/synctest bubble. `make simulate` runs
// it for longer than `make test` does; docs/reference/simulation.md says what it covers.
package simulate
