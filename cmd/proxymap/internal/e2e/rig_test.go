package e2e

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"proxymap/bench/provider"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// longRun asks for what takes minutes: full matrices, more rounds, more ports and tunnels. make verify-e2e sets it.
var longRun = os.Getenv("PROXYMAP_LONG") != ""

// needsLong skips a test that has no short form.
func needsLong(t *testing.T) {
	t.Helper()
	if !longRun {
		t.Skipf("SKIPPED: takes long; PROXYMAP_LONG=1 go test -run '^%s$' ./cmd/proxymap/internal/e2e runs it, as make verify-e2e does", t.Name())
	}
}

// shortOr is a number for the short run, or the one for the long run.
func shortOr[T any](short, long T) T {
	if longRun {
		return long
	}
	return short
}

// onePortSettings are a port that goes by a provider on this machine.
const onePortSettings = `{
  "Listen": {"Port": %d, "StickyProxyLifetime": 10},
  "Authentication": {
    "SetAuthentication": true, "Username": "demo", "Password": "demo",
    "UsernameParameters": [{"Name": "session", "Value": "^[A-Za-z]{8}", "SessionId": true}],
  },
  "ProxyServers": {"Items": [{"Host": "127.0.0.1", "Port": %d}]},
  "SessionAPI": {"Enabled": true, "Domain": "portmapper"},
}`

var portsGiven atomic.Uint32

// freePort is a port that nobody listens on now. It is none of those that connections are given, one of which could take
// it before it is listened on, and none that this process has had before.
func freePort(t *testing.T) int {
	t.Helper()
	const first, last = 10_000, 32_000
	for range last - first {
		port := first + (os.Getpid()*101+int(portsGiven.Add(1)))%(last-first)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatalf("none of the ports %d-%d is free", first, last)
	return 0
}

// settingsFile writes a settings file for one port and a provider.
func settingsFile(t *testing.T, port int, provider *provider.Provider) string {
	t.Helper()
	return write(t, t.TempDir(), "appsettings.json", fmt.Sprintf(onePortSettings, port, provider.Addr().Port()))
}

func startProvider(t *testing.T) *provider.Provider {
	t.Helper()
	p, err := provider.Start(provider.Config{User: "demo", Password: "demo"})
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

// write writes a file of a test.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// awaitThat waits until cond holds.
func awaitThat(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// closed waits until the peer has closed a connection.
func closed(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, err := conn.Read(make([]byte, 1))
	if e, ok := err.(net.Error); err == nil || ok && e.Timeout() {
		t.Fatalf("the connection is not closed: %v", err)
	}
}

func matches(pattern, text string) bool {
	return regexp.MustCompile("^" + pattern + "$").MatchString(text)
}
