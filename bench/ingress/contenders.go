package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tendhq/tend/ingress"
)

// contender is something that passes connections on.
type contender struct {
	name  string
	start func(o options, dir, protocol string, backend []string) (target, func(), error)
}

// available lists the contenders for a protocol that this machine has.
func available(o options, protocol string) []contender {
	all := []contender{{"none", startNone}, {"tend", startTend}}
	if has("haproxy") {
		all = append(all, contender{"HAProxy", startHAProxy})
	}
	if has("nginx") {
		all = append(all, contender{"nginx", startNginx})
	}
	if protocol == "http" && has(o.gateway) {
		all = append(all, contender{"Caddy", startCaddy})
	}
	if protocol == "tcp" && has("docker-proxy") {
		all = append(all, contender{"docker-proxy", startDockerProxy})
	}
	return slices.DeleteFunc(all, func(c contender) bool { return o.contender != "" && c.name != o.contender })
}

func has(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

func startNone(_ options, _, _ string, backend []string) (target, func(), error) {
	return target{address: backend[0]}, func() {}, nil
}

func startTend(o options, dir, protocol string, backend []string) (target, func(), error) {
	address, err := freeAddress()
	if err != nil {
		return target{}, nil, err
	}
	cmd := exec.Command(o.tend, "ingress", "--listen", address, "--state", filepath.Join(dir, "config.json"))
	input, err := cmd.StdinPipe()
	if err != nil {
		return target{}, nil, err
	}
	config := ingress.Config{Generation: 1, Protocol: ingress.Protocol(protocol)}
	for _, b := range backend {
		config.Endpoints = append(config.Endpoints, ingress.Endpoint{ID: b, Address: b, State: ingress.Ready})
	}
	return launch(cmd, address, func() error { return ingress.Write(input, ingress.Request{Config: &config}) })
}

func startHAProxy(_ options, dir, protocol string, backend []string) (target, func(), error) {
	address, err := freeAddress()
	if err != nil {
		return target{}, nil, err
	}
	config := fmt.Sprintf(`global
	maxconn 9990
defaults
	mode %s
	timeout connect 1s
	timeout client 1h
	timeout server 1h
	balance leastconn
	%s
listen in
	bind %s
`, protocol, map[string]string{"http": "option forwardfor", "tcp": ""}[protocol], address)
	for i, b := range backend {
		config += fmt.Sprintf("\tserver s%d %s\n", i, b)
	}
	path, err := write(dir, "haproxy.cfg", config)
	if err != nil {
		return target{}, nil, err
	}
	return launch(exec.Command("haproxy", "-db", "-f", path), address, nil)
}

func startNginx(_ options, dir, protocol string, backend []string) (target, func(), error) {
	address, err := freeAddress()
	if err != nil {
		return target{}, nil, err
	}
	upstream := "least_conn;"
	for _, b := range backend {
		upstream += " server " + b + ";"
	}
	head := fmt.Sprintf("daemon off; worker_processes auto; pid %s/pid; error_log stderr crit; worker_rlimit_nofile 20000;\n", dir)
	modules, _ := filepath.Glob("/usr/lib/nginx/modules/ngx_stream_module.so")
	for _, m := range modules {
		head += "load_module " + m + ";\n"
	}
	head += "events { worker_connections 19900; }\n"
	body := fmt.Sprintf("stream { upstream u { %s } server { listen %s; proxy_pass u; proxy_timeout 1h; } }\n", upstream, address)
	if protocol == "http" {
		body = fmt.Sprintf(`http {
	access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	upstream u { %[2]s keepalive 256; }
	server { listen %[3]s; location / {
		proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection "";
		proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
		proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host;
	} }
}
`, dir, upstream, address)
	}
	path, err := write(dir, "nginx.conf", head+body)
	if err != nil {
		return target{}, nil, err
	}
	return launch(exec.Command("nginx", "-c", path, "-p", dir), address, nil)
}

func startCaddy(o options, dir, _ string, backend []string) (target, func(), error) {
	address, err := freeAddress()
	if err != nil {
		return target{}, nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	path, err := write(dir, "Caddyfile", fmt.Sprintf(`{
	admin off
	auto_https off
	persist_config off
	storage_check off
	storage_clean_interval off
}
http://:%s {
	bind 127.0.0.1
	reverse_proxy %s {
		lb_policy least_conn
		transport http {
			keepalive_idle_conns_per_host 256
		}
	}
}
`, port, strings.Join(backend, " ")))
	if err != nil {
		return target{}, nil, err
	}
	return launch(exec.Command(o.gateway, "--config", path), address, nil)
}

func startDockerProxy(_ options, _, _ string, backend []string) (target, func(), error) {
	address, err := freeAddress()
	if err != nil {
		return target{}, nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	host, backendPort, _ := net.SplitHostPort(backend[0])
	cmd := exec.Command("docker-proxy", "-proto", "tcp", "-host-ip", "127.0.0.1", "-host-port", port, "-container-ip", host, "-container-port", backendPort)
	// It tells on descriptor 3 that it has started.
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return target{}, nil, err
	}
	defer null.Close()
	cmd.ExtraFiles = []*os.File{null}
	return launch(cmd, address, nil)
}

// launch starts a contender and waits until it listens.
func launch(cmd *exec.Cmd, address string, then func() error) (target, func(), error) {
	if err := cmd.Start(); err != nil {
		return target{}, nil, err
	}
	stop := func() {
		for _, pid := range tree(cmd.Process.Pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		_ = cmd.Wait()
	}
	if then != nil {
		if err := then(); err != nil {
			stop()
			return target{}, nil, err
		}
	}
	for range 100 {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			time.Sleep(300 * time.Millisecond) // until all its processes are there
			return target{address: address, pids: tree(cmd.Process.Pid)}, stop, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	return target{}, nil, errors.New("it does not listen")
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func write(dir, name, text string) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// tree lists a process and those under it.
func tree(pid int) []int {
	pids := []int{pid}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, tree(child)...)
			}
		}
	}
	return pids
}
