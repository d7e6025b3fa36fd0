package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/rehearsal"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/e2e/kit"
	"github.com/tendhq/tend/state"
)

// The image of ingresses in memory, and one whose containers are never ready.
const (
	ingressImage = "tend/ingress:demo"
	badImage     = "shop/order-service:bad"
)

// rehearse shows it on an engine in memory, of a copy of the shop: what needs no clients, no
// registry and no death of tend.
func rehearse(ctx context.Context, repository string, step bool) error {
	dir, err := os.MkdirTemp("", "demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	shop := filepath.Join(dir, "shop")
	if err := os.Mkdir(shop, 0o755); err != nil { //nolint:gosec // as a repository is
		return err
	}
	if err := (kit.Shop{Repository: repository, Dir: shop, Project: project, Override: "services: {}\n"}).Write(ctx); err != nil {
		return err
	}
	specs, err := kit.Specs(shop)
	if err != nil {
		return err
	}
	o := load.Options{ProjectDirectory: shop, IngressImage: ingressImage}
	var acts []rehearsal.Act
	act := func(title, service, content string) {
		if service != "" {
			o = o.WithDraft(load.Draft{Path: kit.SpecFile(shop, service), Content: []byte(content)})
		}
		p, failed := load.Project(ctx, o)
		if err == nil {
			err = failed
		}
		acts = append(acts, rehearsal.Act{Title: title, Project: p})
	}
	template := func(service, keys string) string { return specs[service] + "  template: {" + keys + "}\n" }
	act("the shop comes up", "", "")
	act("product-service from 4 replicas to 8, by editing its spec", "product-service", kit.Set(specs["product-service"], "replicas", 8))
	act(killing, "", "")
	act("a good update of order-service", "order-service", template("order-service", `environment: {DEMO: "1"}`))
	act("a bad update of it, which takes itself back", "order-service", template("order-service", "image: "+badImage))
	act("it is written as before", "order-service", template("order-service", `environment: {DEMO: "1"}`))
	act("another setting for user-db: one Postgres at a time on its volume", "user-db", template("user-db", "command: [postgres, -c, work_mem=8MB]"))
	act("an update of the gateway itself", "gateway", template("gateway", `environment: {DEMO: "1"}`))
	if err != nil {
		return err
	}
	began, n, screen := time.Now(), 0, newScreen(step)
	last := rehearsal.Play{
		Acts: acts, IngressImage: ingressImage, Executable: os.DevNull, DataDir: dir, Patience: time.Hour,
		Images: map[string]rehearsal.Behavior{badImage: {Kind: rehearsal.NeverReady}},
		Begin: func(a rehearsal.Act, e *rehearsal.Engine) {
			fmt.Printf("\n%d. %s\n", n, a.Title)
			n++
			err = errors.Join(err, screen.pause(ctx))
			if a.Title == killing {
				killThree(e)
			}
		},
		Event: func(at time.Duration, e *state.Event) {
			mark := " "
			if e.Type == core.Warning {
				mark = "!"
			}
			fmt.Printf("   %7.1fs %s %-17s %-15s %s\n", at.Seconds(), mark, e.Workload, e.Reason, e.Message)
		},
		End: func(r rehearsal.Result) {
			fmt.Printf("   done after %.1f s\n", r.Took.Seconds())
			for _, b := range r.Bounds {
				fmt.Printf("   %s: never fewer than %d ready, at most %d containers\n", b.Workload, b.LeastReady, b.MostReplicas)
			}
		},
	}.Run()
	fmt.Printf("\nAll of it took %.1f s.\n", time.Since(began).Seconds())
	return errors.Join(last.Err, err)
}

const killing = "three of them are killed at the same moment"

// killThree kills three replicas of product-service.
func killThree(e *rehearsal.Engine) {
	const many = 3
	n := 0
	for _, c := range e.Truth() {
		if n < many && c.Labels[spec.LabelService] == "product-service" && c.Labels[spec.LabelHook] == "" {
			e.Kill(c.ID, 137)
			n++
		}
	}
}
