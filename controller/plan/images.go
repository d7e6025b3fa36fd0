package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// prune plans to remove the images of a repository but the newest ones, where that is asked
// for. An image stays that a container of any project was made from, that a workload or a
// revision in the history names, or that has several tags or a name in another repository,
// as somebody wants it there.
func prune(in ProjectInput, p *ProjectPlan) {
	if len(in.Keep) == 0 {
		return
	}
	needed := map[string]bool{}
	for _, r := range in.Resources {
		if r.Kind == core.ImageResource {
			name, _ := spec.Name(r.Name)
			needed[name], needed[r.ID] = true, true
		}
	}
	for _, image := range in.History { // by a name, or by its ID
		name, _ := spec.Name(image)
		needed[name], needed[image] = true, true
	}
	for _, repository := range slices.Sorted(maps.Keys(in.Keep)) {
		old := slices.DeleteFunc(slices.Clone(in.Images), func(i core.LocalImage) bool { return !onlyIn(repository, i) })
		slices.SortFunc(old, func(a, b core.LocalImage) int {
			return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
		})
		for _, i := range old[min(in.Keep[repository], len(old)):] {
			isNeeded := needed[i.ID] || slices.ContainsFunc(i.Names, func(name string) bool { return needed[name] })
			if i.InUse || i.InFlight || isNeeded || tags(i) > 1 {
				continue
			}
			n := i.Attempt.Count
			if n > 0 {
				n++
			}
			if at := i.Attempt.At.Add(delay(resourceBackoff, n)); n > 0 && at.After(in.Now) {
				p.Next = soonest(p.Next, at)
				continue
			}
			i.Attempt = core.Attempt{Count: i.Attempt.Count + 1, At: in.Now}
			p.Images = append(p.Images, i)
			p.Actions = append(p.Actions, core.Action{
				Kind: core.RemoveImage, Object: i.Names[0], ID: i.ID,
				Cause: fmt.Sprintf("keepImages is %d, and nothing needs it", in.Keep[repository]),
			})
		}
	}
}

// onlyIn reports whether all names of an image are of one repository.
func onlyIn(repository string, i core.LocalImage) bool {
	return !slices.ContainsFunc(i.Names, func(name string) bool {
		_, of := spec.Name(name)
		return of != repository
	})
}

// tags counts the names of an image that are no digests.
func tags(i core.LocalImage) (n int) {
	for _, name := range i.Names {
		if !strings.Contains(name, "@") {
			n++
		}
	}
	return n
}
