package cli

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/cmd/doctor"
	"github.com/tendhq/tend/cmd/terminal"
	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/spec/load"
)

// askTimeout bounds how long doctor waits for the engine and for the files.
const askTimeout = 10 * time.Second

func newDoctor(f *flags) *cobra.Command {
	p := &printer{}
	var prometheus string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Find what is wrong with the project and the machine, and what to do about it",
		Long: `Find what is wrong with the project and the machine, and what to do about it: the engine, disks, host ports, names
between workloads, health endpoints, certificates, ages of images and backups, and what the controller says of each
workload; with --prometheus also targets that are down and alerts that fire. Without a controller it checks the rest.

It changes nothing, and ends with 1 where anything has failed; with warnings alone it ends with 0.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := p.check(c); err != nil {
				return err
			}
			p.out = c.OutOrStdout()
			patient := f.patient(c.Context(), prometheus)
			if patient.Engine != nil {
				defer patient.Engine.Close()
			}
			found := doctor.Examine(c.Context(), patient)
			if err := p.findings(found); err != nil {
				return err
			}
			if !doctor.Healthy(found) {
				return &exitError{code: exitFailed}
			}
			return nil
		},
	}
	p.register(c.Flags())
	c.Flags().StringVar(&prometheus, "prometheus", "", "URL of a Prometheus server to ask, as http://localhost:9090")
	return c
}

// patient finds all that can be asked. What cannot is a finding.
func (f *flags) patient(ctx context.Context, prometheus string) doctor.Patient {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	p := doctor.Patient{Prometheus: prometheus}
	p.Project, p.ProjectErr = f.load(ctx)
	folder, err := load.Folder(f.spec)
	if err == nil {
		p.DataDir = f.data(folder)
	}
	p.Controller, p.ControllerErr = f.dial()
	e, err := docker.New(f.host)
	if err != nil {
		p.EngineErr = err
		return p
	}
	p.Host = e.Host()
	p.Engine = e
	if p.Info, p.EngineErr = e.Info(ctx); p.EngineErr != nil {
		p.Engine = nil
		_ = e.Close()
	}
	return p
}

// diagnosis is what doctor says to programs.
type diagnosis struct {
	Healthy  bool             `json:"healthy"`
	Findings []doctor.Finding `json:"findings"`
}

// findings prints what was found.
func (p *printer) findings(found []doctor.Finding) error {
	if p.document() {
		return p.write(diagnosis{doctor.Healthy(found), found})
	}
	out := tabwriter.NewWriter(p.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(out, "CHECK\tWHAT\tRESULT\tFINDING\tREMEDY")
	for _, f := range found {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", f.Check, terminal.Line(f.Object), f.Level, terminal.Line(f.Message), terminal.Line(f.Remedy))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.out, "failures: %d, warnings: %d, not tried: %d, ok: %d\n",
		doctor.Count(found, doctor.Failure), doctor.Count(found, doctor.Warning), doctor.Count(found, doctor.NotTried), doctor.Count(found, doctor.OK))
	return err
}
