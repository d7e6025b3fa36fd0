package enginetest

import "slices"

// alike reports whether an engine's events of a container, in their order, are the
// model's. An engine does one thing to a container after the other, so that their order
// is determined, except for the events that depend on when the kernel and containerd
// tell the engine:
//
//   - A signal lets a paused container go on. The engine learns of that at any time
//     before it learns of the end, or never: the "unpause" after the "kill" may also
//     come after a second "kill", or not at all. The health is checked anew then:
//     "health_status" comes right after that "unpause", or the end comes first.
//   - A health check that is under way when the process ends may fail because of that:
//     then "health_status" comes right before "die".
//   - An Engine 20.10 learns of a pause from containerd, too. If that comes late, it
//     sends "pause" and "unpause" again, and the health after that.
//
// Any other difference counts.
func alike(engine, model []string) bool {
	begin := func(actions []string, wanted ...string) bool {
		return len(actions) >= len(wanted) && slices.Equal(actions[:len(wanted)], wanted)
	}
	end := func(actions []string, wanted ...string) bool {
		return len(actions) >= len(wanted) && slices.Equal(actions[len(actions)-len(wanted):], wanted)
	}
	missing := false // an "unpause" after a "kill"
	for i := 0; ; {
		done, rest := model[:i], model[i:]
		switch {
		case len(engine) == 0 && len(rest) == 0:
			return true
		case len(engine) > 0 && begin(rest, engine[0]):
			missing = missing && engine[0] != "die"
			engine, i = engine[1:], i+1
		case end(done, "kill") && begin(rest, "unpause"):
			missing = true
			i++
		case end(done, "kill", "unpause") && begin(rest, "health_status"):
			i++
		case missing && begin(engine, "unpause"):
			missing = false
			engine = engine[1:]
		case begin(engine, "health_status", "die"):
			engine = engine[1:]
		case begin(engine, "pause", "unpause") && (end(done, "unpause") || end(done, "unpause", "health_status")):
			if engine = engine[2:]; begin(engine, "health_status") && !begin(rest, "health_status") {
				engine = engine[1:]
			}
		default:
			return false
		}
	}
}
