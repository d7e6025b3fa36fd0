package plan

import "fmt"

// obstructed reports whether containers of another folder are in the workload's way.
// Then nothing is done: whatever it took, a name, a number or a volume, might be
// theirs.
func (p *planner) obstructed() bool {
	if len(p.Foreigners) == 0 {
		return false
	}
	p.held, p.remedy = p.Foreigners[0].Problem(), p.Foreigners[0].remedy()
	p.waiting = p.held // which is not the rollout's fault
	p.fail("ForeignContainer", p.held, p.remedy)
	return true
}

// Problem says whose a container is, and how to go on.
func (f Foreigner) Problem() string {
	if f.Gone {
		return fmt.Sprintf("%s was made from %s, which is not to be found here, and is left alone: %s", f.Name, f.Folder, f.remedy())
	}
	return fmt.Sprintf("%s was made from %s, a project of the same name, and is left alone: %s", f.Name, f.Folder, f.remedy())
}

// remedy says how to go on.
func (f Foreigner) remedy() string {
	if f.Gone {
		return fmt.Sprintf("if this is that folder, moved or renamed, take it over with --take-over %s; else remove it, or give this project another name", f.Folder)
	}
	return fmt.Sprintf("give this one another name (name: in compose.yaml, or -p), or take that one over with --take-over %s", f.Folder)
}
