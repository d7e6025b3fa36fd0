package compare

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Direction is who made a project and who keeps it when it is looked at.
type Direction string

// The directions in which a project is handed over.
const (
	// ByTend: tend has made and keeps it.
	ByTend Direction = "by tend"
	// TakenOver: Compose has made it, tend has taken it over and keeps it.
	TakenOver Direction = "by Compose, taken over by tend"
	// HandedBack: tend has made it and was stopped; then came docker compose up.
	HandedBack Direction = "by tend, then docker compose up"
)

// Difference is one field that is not what Compose alone has made it.
type Difference struct {
	Direction     Direction
	Object, Field string
	// Want is the field with Compose alone, Got the one in this direction.
	Want, Got string
	// Compose and Tend are all fields of the object, nil where it is absent.
	Compose, Tend Object
}

func (d Difference) String() string {
	return fmt.Sprintf("%s: %s: %s: Compose has %s, not %s", d.Direction, d.Object, d.Field, shorten(d.Want), shorten(d.Got))
}

func shorten(value string) string {
	const enough = 160
	if len(value) > enough {
		return value[:enough] + "…"
	}
	return value
}

// These fields are not in an inspect.
const (
	// Present reports whether the object exists.
	Present = "Present"
	// StartedAt is when a container was started that ran before.
	StartedAt = "StartedAt"
	// Number is the number of a container in its service.
	Number = "Number"
)

// Compare lists what differs from the record of Compose alone.
func Compare(direction Direction, compose, tend Record) (all []Difference) {
	numbers := renumbered(compose, tend)
	for _, name := range union(compose, tend) {
		if slices.Contains(slices.Collect(maps.Values(numbers)), name) {
			continue
		}
		want, got := compose[name], tend[cmp.Or(numbers[name], name)]
		d := Difference{Direction: direction, Object: name, Compose: want, Tend: got}
		other, renamed := numbers[name]
		if renamed {
			d.Field, d.Want, d.Got = Number, name, other
			all = append(all, d)
			got = got.under(name, other)
		}
		if want == nil || got == nil {
			d.Field, d.Want, d.Got = Present, strconv.FormatBool(want != nil), strconv.FormatBool(got != nil)
			all = append(all, d)
			continue
		}
		for _, field := range union(want, got) {
			number := renamed && field == "Config.Labels."+numberLabel
			if want[field] == got[field] || number || !comparable(direction, field, want, got) {
				continue
			}
			d.Field, d.Want, d.Got = field, orAbsent(want, field), orAbsent(got, field)
			all = append(all, d)
		}
	}
	return all
}

// under returns the fields of a container as they are under the name of another one.
func (o Object) under(name, own string) Object {
	fields := Object{}
	for field, value := range o {
		fields[field] = strings.ReplaceAll(value, strings.TrimPrefix(own, "container "), strings.TrimPrefix(name, "container "))
	}
	return fields
}

// renumbered returns by which name tend has the containers that Compose has by another:
// those of one service that only one side knows belong together.
func renumbered(compose, tend Record) map[string]string {
	service := func(name string) string { return name[:max(strings.LastIndex(name, "-"), 0)] }
	names := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(tend)) {
		for _, other := range slices.Sorted(maps.Keys(compose)) {
			_, known := names[other]
			if strings.HasPrefix(name, "container ") && service(name) == service(other) && compose[name] == nil && tend[other] == nil && !known {
				names[other] = name
				break
			}
		}
	}
	return names
}

func union[V any](a, b map[string]V) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Keys(a)), slices.Collect(maps.Keys(b))))))
}

func orAbsent(o Object, field string) string {
	if value, ok := o[field]; ok {
		return value
	}
	return "nothing"
}

// comparable reports whether a field means the same on both sides.
func comparable(direction Direction, field string, want, got Object) bool {
	switch {
	case strings.HasPrefix(field, ports): // only what runs publishes any
		return want[State] == "running" && got[State] == "running"
	case field == restartPolicy: // for the engine, nothing is no
		return want[field] != unset || got[field] != `"no"`
	case field == Starts || field == "RestartCount": // docker compose up starts anew what has ended
		return direction != HandedBack
	}
	return true
}

// Replaced lists the containers that were replaced or restarted between two
// looks, by their IDs and the times of their starts.
func Replaced(direction Direction, compose, tend Record, before, after map[string]Identity) (all []Difference) {
	for _, name := range slices.Sorted(maps.Keys(before)) {
		b, a := before[name], after[name]
		d := Difference{Direction: direction, Object: name, Compose: compose[name], Tend: tend[name]}
		switch {
		case a.ID == "":
			continue // Compare tells it
		case a.ID != b.ID:
			d.Field, d.Want, d.Got = "Id", "the same container", "another one"
		case b.Stands && a.StartedAt != b.StartedAt:
			d.Field, d.Want, d.Got = StartedAt, b.StartedAt, a.StartedAt
		default:
			continue
		}
		all = append(all, d)
	}
	return all
}

// Identity is what changes when a container is replaced or restarted.
type Identity struct {
	ID, StartedAt string
	// Stands is true of a container that has not ended by itself.
	Stands bool
}

// Split returns the differences that are not meant, and how often each meant
// one was seen, by its number in Meant.
func Split(all []Difference) (unmeant []Difference, seen map[int]int) {
	seen = map[int]int{}
next:
	for _, d := range all {
		for i, m := range Meant {
			if m.is(d) {
				seen[i]++
				continue next
			}
		}
		unmeant = append(unmeant, d)
	}
	return unmeant, seen
}
