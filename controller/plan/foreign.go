package plan

import (
	"fmt"

	"github.com/tendhq/tend/controller/core"
)

// ForeignProblem says whose a container of another folder is, and how to go on.
func ForeignProblem(f core.Foreigner) string {
	return advised(foreignProblem(f), foreignRemedy(f))
}

// foreignProblem says whose a container of another folder is.
func foreignProblem(f core.Foreigner) string {
	if f.Gone {
		return fmt.Sprintf("%s was made from %s, which is not to be found here, and is left alone", f.Name, f.Folder)
	}
	return fmt.Sprintf("%s was made from %s, a project of the same name, and is left alone", f.Name, f.Folder)
}

// foreignRemedy says how to go on beside a container of another folder.
func foreignRemedy(f core.Foreigner) string {
	if f.Gone {
		return fmt.Sprintf("if this is that folder, moved or renamed, take it over with --take-over %s; else remove it, or give this project another name", f.Folder)
	}
	return fmt.Sprintf("give this one another name (name: in compose.yaml, or -p), or take that one over with --take-over %s", f.Folder)
}
