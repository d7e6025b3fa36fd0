package load

import (
	"fmt"

	"github.com/tendhq/tend/controller/spec"
)

// enforce finds what the policy refuses of a project.
func (l *loading) enforce(p *spec.Project) (problems spec.Errors) {
	found := p.Policy.ResourceViolations(p)
	for _, w := range p.Workloads {
		found = append(found, p.Policy.Violations(w)...)
	}
	for _, v := range found {
		e := l.sources.locate(v.Path...)
		e.Message = fmt.Sprintf("%s: the policy %s refuses that", v.Message, p.Policy)
		e.Hint = v.Hint
		problems = append(problems, e)
	}
	return problems
}
