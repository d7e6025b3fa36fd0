// Package doctor finds what is wrong with a project, and with the machine that it runs on.
//
// Each check is a function of what was asked: values in, findings out. Examine asks, all
// side by side and each within a limit of time. What the controller has concluded is told
// in its own words, and nothing of it is concluded again.
package doctor

import "slices"

// Level is how bad a finding is.
type Level string

// The levels of findings.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Failure Level = "failure"
	// NotTried is of what could not be asked, by no fault of what is checked.
	NotTried Level = "not tried"
)

// Finding is what was found of one thing.
type Finding struct {
	// Check is the name of the check, and Object what it was made on.
	Check  string `json:"check"`
	Object string `json:"object"`
	Level  Level  `json:"level"`
	// Message is what was found, and Remedy what a person can do about it.
	Message string `json:"finding"`
	Remedy  string `json:"remedy,omitempty"`
}

// Count returns how many findings are of a level.
func Count(all []Finding, level Level) (n int) {
	for _, f := range all {
		if f.Level == level {
			n++
		}
	}
	return n
}

// Healthy reports whether no finding is a failure.
func Healthy(all []Finding) bool {
	return !slices.ContainsFunc(all, func(f Finding) bool { return f.Level == Failure })
}

// find makes a finding.
func find(level Level, check, object, message, remedy string) Finding {
	return Finding{Check: check, Object: object, Level: level, Message: message, Remedy: remedy}
}
