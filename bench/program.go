package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// stopTimeout is how long a program may take to end.
	stopTimeout = 2 * time.Minute
	// saidLimit is how many bytes of a program's output an error shows.
	saidLimit = 4000
)

// program is a program that runs beside the benchmark until it is told to stop.
type program struct {
	cmd   *exec.Cmd
	log   string // file of its output
	ended chan error
}

// startProgram starts a program in dir, where its output goes to the file log.
func startProgram(dir, log string, env []string, command ...string) (*program, error) {
	p := &program{cmd: exec.Command(command[0], command[1:]...), log: filepath.Join(dir, log), ended: make(chan error, 1)}
	output, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = dir, env, output, output
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.ended <- p.cmd.Wait() }()
	return p, nil
}

// stop ends the program. It is called once.
func (p *program) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails where it has ended already
	select {
	case err := <-p.ended:
		return err
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("%s did not end, and was killed", filepath.Base(p.cmd.Path)), p.cmd.Process.Kill(), <-p.ended)
	}
}

// said is the end of the program's output.
func (p *program) said() error {
	output, err := os.ReadFile(p.log)
	if err != nil {
		return err
	}
	return fmt.Errorf("%s said:\n%s", filepath.Base(p.cmd.Path), output[max(0, len(output)-saidLimit):])
}
