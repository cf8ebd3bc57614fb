package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"proxymap/bench/provider"
	"proxymap/relay"
)

const patience = 10 * time.Second

// TestMain makes of this test binary the program itself where a test starts it as such.
func TestMain(m *testing.M) {
	if os.Getenv("PROXYMAP_TEST_RUN") != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// A process is proxymap, started by a test.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	mu     sync.Mutex
	log    bytes.Buffer
	ended  chan struct{}
	status int
}

// start starts proxymap with those arguments.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startCommand(t, exec.Command(os.Args[0], args...))
}

// startCommand starts proxymap by a command that ends in it.
func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "PROXYMAP_TEST_RUN=1")
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); <-p.ended })
	go func() {
		_, _ = io.Copy(lockedWriter{p}, stderr)
		err := p.cmd.Wait()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			p.status = exit.ExitCode()
		}
		close(p.ended)
	}()
	return p
}

type lockedWriter struct{ p *process }

func (w lockedWriter) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return w.p.log.Write(b)
}

// logged waits until the process has logged text.
func (p *process) logged(text string) {
	p.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		log := p.log.String()
		p.mu.Unlock()
		if strings.Contains(log, text) {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("it does not log %q, but:\n%s", text, log)
		}
	}
}

// exits waits until the process has ended with that status.
func (p *process) exits(status int) {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatal("it does not end")
	}
	if p.status != status {
		p.t.Fatalf("it ended with %d; want %d; its log:\n%s", p.status, status, p.log.String())
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// underRace reports whether the race detector is on.
func underRace() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// freePort is a port that nobody listens on now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// settingsFile writes a settings file for one port and a provider.
func settingsFile(t *testing.T, port int, provider *provider.Provider) string {
	t.Helper()
	text := fmt.Sprintf(demoSettings, port, port, provider.Addr().Port())
	file := filepath.Join(t.TempDir(), "appsettings.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func startProvider(t *testing.T) *provider.Provider {
	t.Helper()
	p, err := provider.Start(provider.Config{User: demoUser, Password: demoPassword})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// openTunnel opens a tunnel to the provider's own host, which stays open.
func openTunnel(t *testing.T, port int) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(conn, "CONNECT ip.demo:80 HTTP/1.1\r\nHost: ip.demo:80\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "HTTP/1.1 200 OK\r\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	return conn
}

func TestServeAndStop(t *testing.T) {
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	p := start(t, "serve", "--config", settingsFile(t, port, startProvider(t)))
	p.exits(1)
	p.logged(fmt.Sprintf("listen on port %d of 127.0.0.1: bind: address already in use", port))
}

// The reader of our log may leave: we stay.
func TestClosedStderr(t *testing.T) {
	port := freePort(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "serve", "--log-level", "debug", "--config", settingsFile(t, port, startProvider(t)))
	cmd.Env = append(os.Environ(), "PROXYMAP_TEST_RUN=1")
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

func TestExitStatus(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	good, bad := write("good.json", articleSettings), write("bad.json", `{"Listen":{"Prt":1}}`)
	for _, row := range []struct {
		args        []string
		status      int
		out, errOut string
	}{
		{[]string{"check", "--config", good}, 0, "ok: 1 mapping, 100 ports", ""},
		{[]string{"check", "--config", bad}, 1, "", "bad.json:1: Listen.Prt: unknown key"},
		{[]string{"serve", "--config", bad}, 1, "", "bad.json:1: Listen.Prt: unknown key"},
		{[]string{"check", "--config", dir + "/none.json"}, 1, "", "no such file"},
		{[]string{"version"}, 0, "proxymap ", ""},
		{[]string{"--help"}, 0, "serve", ""},
		{[]string{"serve", "--help"}, 0, "--grace", ""},
		{[]string{}, 2, "", "proxymap --help"},
		{[]string{"sirve"}, 2, "", "sirve"},
		{[]string{"serve", "--grace", "soon"}, 2, "", "--grace"},
		{[]string{"serve", "--log-level", "loud"}, 2, "", "--log-level"},
	} {
		var out, errOut bytes.Buffer
		status := run(row.args, &out, &errOut)
		if status != row.status || !strings.Contains(out.String(), row.out) || !strings.Contains(errOut.String(), row.errOut) {
			t.Errorf("%v: got %d, %q, %q; want %d, %q, %q", row.args, status, out.String(), errOut.String(), row.status, row.out, row.errOut)
		}
	}
}

// The demo on other ports: what it prints can be done.
func TestDemo(t *testing.T) {
	p := startProvider(t)
	port := freePort(t)
	cfg, err := demoConfig(p, port, port)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Mappings = append(cfg.Mappings, cfg.Mappings[0])
	cfg.Mappings[1].First, cfg.Mappings[1].Last = 0, 0
	r, err := relay.Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- r.Serve() }()
	var out bytes.Buffer
	printDemo(&out, r)
	if n := strings.Count(out.String(), "\n  curl -x http://127.0.0.1:"); n != 5 {
		t.Errorf("the demo prints %d curl lines; want 5:\n%s", n, out.String())
	}
	r.Shutdown(0)
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// A writer that blocks costs log lines, never time.
func TestAsyncWriter(t *testing.T) {
	r, w := io.Pipe()
	a := newAsyncWriter(w)
	for i := range 3 * logQueue {
		if n, err := fmt.Fprintf(a, "line %d\n", i); n == 0 || err != nil {
			t.Fatal(n, err)
		}
	}
	read := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		read <- string(b)
	}()
	a.close(patience)
	w.Close()
	got := <-read
	if !strings.Contains(got, "line 0\n") || !strings.Contains(got, "log lines were dropped") || strings.Count(got, "line ") > logQueue+4 {
		t.Errorf("%d lines came through", strings.Count(got, "line "))
	}
}
