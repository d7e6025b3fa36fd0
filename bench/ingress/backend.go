package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
)

// answer is the answer to each request. The backend and the clients do as little as
// possible, so that it is the contenders that are measured.
var answer = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n%s", strings.Repeat("x", 1024))

// startBackend starts what the contenders pass everything to. It has two addresses.
func startBackend() (addresses []string, stop func(), err error) {
	cmd := exec.Command("/proc/self/exe", "backend", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	lines := bufio.NewScanner(out)
	for range 2 {
		if !lines.Scan() {
			stop()
			return nil, nil, fmt.Errorf("the backend did not start: %w", lines.Err())
		}
		addresses = append(addresses, lines.Text())
	}
	return addresses, stop, nil
}

func serve(address string) {
	for range 2 {
		l, err := net.Listen("tcp", address)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(l.Addr())
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go handle(c)
			}
		}()
	}
	select {}
}

// handle sends a stream to who says so, answers requests, and echoes all else.
func handle(c net.Conn) {
	defer c.Close()
	buffer := make([]byte, 4096)
	have := 0
	for {
		n, err := c.Read(buffer[have:])
		if err != nil {
			return
		}
		have += n
		switch {
		case buffer[0] == 'S':
			block := make([]byte, 1<<20)
			for {
				if _, err := c.Write(block); err != nil {
					return
				}
			}
		case buffer[0] == 'G':
			if !bytes.HasSuffix(buffer[:have], []byte("\r\n\r\n")) {
				continue
			}
			_, err = c.Write(answer)
		default:
			_, err = c.Write(buffer[:have])
		}
		if err != nil {
			return
		}
		have = 0
	}
}
