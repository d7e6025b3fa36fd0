package doctor

import (
	"fmt"
	"slices"
	"time"

	"github.com/docker/go-units"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
)

// The ages beyond which an image and a backup are a finding.
const (
	oldImage  = 180 * 24 * time.Hour
	oldBackup = 7 * 24 * time.Hour
)

// Image is a local image that a workload needs.
type Image struct {
	Ref string
	// Built is true where the project builds it.
	Built bool
	// Here is true where the engine has it, and Created is when it was made.
	Here    bool
	Created time.Time
}

// imagesOf lists the images that a project's services need, and whether the engine has them.
// The ingresses' image is left out: tend makes it.
func imagesOf(p *spec.Project, local []engine.LocalImage) (all []Image) {
	for _, w := range services(p.Workloads) {
		for _, ref := range w.Images() {
			if slices.ContainsFunc(all, func(i Image) bool { return i.Ref == ref }) {
				continue
			}
			image := Image{Ref: ref, Built: w.Build != nil && ref == w.Image}
			name, _ := spec.Name(ref)
			for _, l := range local {
				if slices.ContainsFunc(l.Names, func(n string) bool { known, _ := spec.Name(n); return known == name && name != "" }) {
					image.Here, image.Created = true, l.Created
				}
			}
			all = append(all, image)
		}
	}
	return all
}

// epoch is the time before which no image was made: who builds reproducibly has it say
// 1970 or 1980.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Images tells how old images are.
func Images(now time.Time, images []Image) (all []Finding) {
	const check = "image"
	for _, i := range images {
		remedy := "`tend pull` brings the newest of its name"
		if i.Built {
			remedy = "`tend build` makes it"
		}
		age := now.Sub(i.Created)
		switch {
		case !i.Here:
			all = append(all, find(Warning, check, i.Ref, "not here", remedy))
		case i.Created.Before(epoch):
			all = append(all, find(NotTried, check, i.Ref, "it does not tell when it was built", ""))
		case age > oldImage:
			all = append(all, find(Warning, check, i.Ref, fmt.Sprintf("built %s ago", units.HumanDuration(age)), remedy))
		default:
			all = append(all, find(OK, check, i.Ref, fmt.Sprintf("built %s ago", units.HumanDuration(age)), ""))
		}
	}
	return all
}

// Backup is the last backup of a Database.
type Backup struct {
	Workload string
	// At is when it was begun; zero where there is none.
	At time.Time
	// Err is why that is not known.
	Err error
}

// Backups tells how old the last backup of each Database is.
func Backups(now time.Time, backups []Backup) (all []Finding) {
	const check = "backup"
	for _, b := range backups {
		remedy := fmt.Sprintf("`tend backup %s`", b.Workload)
		age := now.Sub(b.At)
		switch {
		case b.Err != nil:
			all = append(all, find(NotTried, check, b.Workload, cannotBeAsked("the data directory", b.Err), ""))
		case b.At.IsZero():
			all = append(all, find(Warning, check, b.Workload, "there is none", remedy))
		case age > oldBackup:
			all = append(all, find(Warning, check, b.Workload, fmt.Sprintf("the last one is %s old", units.HumanDuration(age)), remedy))
		default:
			all = append(all, find(OK, check, b.Workload, fmt.Sprintf("the last one is %s old", units.HumanDuration(age)), ""))
		}
	}
	return all
}
