// Package simulate runs package swarm's controller, its planner and its record included,
// against the Swarm in memory, in a world where everything goes wrong that can: nodes and the
// quorum are lost, requests fail, answers are lost, lists are out of date, a write is
// forgotten, tend is killed at any request and started again, people edit and meddle. After each step it checks what must hold always; at
// last, when nothing goes wrong any more, that all comes to what is written, and to rest.
//
// It is the smaller sibling of controller/simulate, and works as that does: a history follows
// from its seed alone, time is a testing/synctest bubble's, each request waits at a gate, and
// a step lets one thing happen. All is in tests; docs/reference/simulation.md says what it
// covers.
package simulate
