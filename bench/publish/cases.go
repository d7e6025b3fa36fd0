package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/docker/client"

	"github.com/tendhq/tend/e2e/kit"
)

// testCase is a thing that happens to a service again and again.
type testCase struct {
	name, title string
	// compose and spec are added to the service, and written as its spec.
	compose, spec string
	replicas      int
	// cuts is true where connections that carry no requests end, as their replica does.
	cuts bool
	// round has it happen once, and returns when all is as it is written.
	round func(*project, context.Context) error
	// kills is what is killed besides, in every other round.
	kills func(*project, context.Context) error
	// costs is true where requests may fail: what that costs is measured.
	costs bool
}

const deployment = "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: "

var cases = []testCase{
	{name: "update", title: "update of 2 replicas", replicas: 2, round: (*project).rollOut, kills: (*project).killTend},
	{name: "one", title: "update of 1 replica", replicas: 1, round: (*project).rollOut, kills: (*project).killTend},
	{name: "recreate", title: "update of 1 replica, Recreate", replicas: 1, spec: deployment + "{strategy: {type: Recreate}}\n", round: (*project).rollOut, kills: (*project).killTend},
	{name: "volume", title: "update of 1 replica on a volume", replicas: 1, compose: "    volumes: [\"data:/data\"]\n", round: (*project).rollOut, kills: (*project).killTend},
	{name: "scale", title: "scaling from 1 to 4 and back", replicas: 1, round: (*project).scaleUpAndDown, kills: (*project).killTend},
	{name: "kill", title: "1 of 2 replicas killed", replicas: 2, cuts: true, round: (*project).killReplica, kills: (*project).killTend},
	{name: "hang", title: "1 of 2 replicas hangs", replicas: 2, cuts: true, round: (*project).hangReplica, kills: (*project).killTend},
	{name: "failing", title: "an image that fails, rolled back", replicas: 2, spec: deployment + "{progressDeadlineSeconds: 8}\n", round: (*project).fail, kills: (*project).killTend},
	{name: "ingress", title: "update of 2 replicas, the ingress's proxies killed", replicas: 2, cuts: true, costs: true, round: (*project).rollOut, kills: (*project).killProxies},
}

// row is what came of one case.
type row struct {
	Case   testCase
	Rounds int
	Kills  int
	Counts map[string]*counts
}

func (r row) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d rounds, %d kills", r.Case.title, r.Rounds, r.Kills)
	for _, k := range kinds {
		if t := r.Counts[k.name]; t != nil {
			fmt.Fprintf(&b, "; %s %d requests, %d failed, %d cut", k.name, t.Requests.Load(), t.Failed.Load(), t.Cut.Load())
			if first := t.first.Load(); first != nil {
				fmt.Fprintf(&b, " (%v)", first)
			}
		}
	}
	return b.String()
}

// run has the case happen until each kind of client has made so many requests.
func (c testCase) run(ctx context.Context, engine *client.Client, o options, dir string) (r row, err error) {
	r.Case = c
	p := &project{testCase: c, engine: engine, dir: filepath.Join(dir, c.name), tend: filepath.Join(o.repository, "build/bin/tend"), version: 1}
	if err := os.Mkdir(p.dir, 0o755); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, p.remove(ctx)) }()
	if err := p.begin(ctx); err != nil {
		return r, err
	}
	l := begin(ctx, p.web, p.raw)
	defer l.end()
	r.Counts = l.counts
	for ; !l.reached(o.requests) || r.Rounds < 2; r.Rounds++ {
		killed := make(chan error, 1)
		if r.Rounds%2 == 1 {
			r.Kills++
			go func() {
				time.Sleep(time.Duration(rand.Int64N(int64(2 * time.Second)))) // when it happens is what is varied
				killed <- c.kills(p, ctx)
			}()
		} else {
			killed <- nil
		}
		if err := errors.Join(c.roundWithin(ctx, p), <-killed); err != nil {
			return r, err
		}
	}
	l.end()
	return r, nil
}

func (c testCase) roundWithin(ctx context.Context, p *project) error {
	within, cancel := kit.Patience(ctx, patience)
	defer cancel()
	return c.round(p, within)
}
