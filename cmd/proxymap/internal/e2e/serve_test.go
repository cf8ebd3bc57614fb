package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestServeAndStop(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		port := freePort(t)
		p := start(t, "serve", "--config", settingsFile(t, port, startProvider(t)))
		p.logged("msg=listening")
		p.signal(syscall.SIGHUP)
		p.logged("SIGHUP is ignored")
		p.signal(sig)
		p.exits(0)
		p.logged("stopped")
	}
}

// A tunnel gets its grace, and no more.
func TestGrace(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	p := start(t, "serve", "--grace", "100ms", "--config", settingsFile(t, port, startProvider(t)))
	p.logged("msg=listening")
	conn := openTunnel(t, port)
	p.signal(syscall.SIGTERM)
	p.exits(0)
	if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the tunnel is still open")
	}
}

// A second signal does not wait for the grace.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	p := start(t, "serve", "--grace", "1h", "--config", settingsFile(t, port, startProvider(t)))
	p.logged("msg=listening")
	openTunnel(t, port)
	p.signal(syscall.SIGTERM)
	p.logged("stopping")
	p.signal(syscall.SIGTERM)
	p.exits(1)
}

func TestBusyPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	p := start(t, "serve", "--config", settingsFile(t, port, startProvider(t)))
	p.exits(1)
	p.logged(fmt.Sprintf("listen on port %d of 127.0.0.1: bind: address already in use", port))
	p.logged("net.ipv4.ip_local_reserved_ports")
	p.logged("Listen.BusyPort")
}

// The reader of our log may leave: we stay.
func TestClosedStderr(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(t, "serve", "--log-level", "debug", "--config", settingsFile(t, port, startProvider(t)))
	cmd.Stderr, cmd.Stdout = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	w.Close()
	_ = r.SetReadDeadline(time.Now().Add(patience))
	for log, line := bufio.NewReader(r), ""; !strings.Contains(line, "msg=listening"); {
		if line, err = log.ReadString('\n'); err != nil {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	r.Close()
	for range 3 {
		_ = cmd.Process.Signal(syscall.SIGHUP) // makes it log
		_ = cmd.Process.Signal(syscall.SIGPIPE)
		openTunnel(t, port).Close()
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v; want 0", err)
	}
}
