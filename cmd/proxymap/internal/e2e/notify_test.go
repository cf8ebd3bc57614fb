package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A manager is a service manager's end of NOTIFY_SOCKET.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	name string
}

// listenAsManager listens at a path, or under an abstract name.
func listenAsManager(t *testing.T, abstract bool) manager {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	if abstract {
		name = fmt.Sprintf("@proxymap-e2e-%d-%d", os.Getpid(), portsGiven.Add(1))
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return manager{t, conn, name}
}

// hears waits for a message that begins so, and fails if one of those comes before.
func (m manager) hears(want string, not ...string) string {
	m.t.Helper()
	_ = m.conn.SetReadDeadline(time.Now().Add(patience))
	for b := make([]byte, 4096); ; {
		n, err := m.conn.Read(b)
		if err != nil {
			m.t.Fatalf("waited in vain for %q: %v", want, err)
		}
		got := string(b[:n])
		if strings.HasPrefix(got, want) {
			return got
		}
		for _, early := range not {
			if strings.HasPrefix(got, early) {
				m.t.Errorf("%q comes before %q", got, want)
			}
		}
	}
}

// A service manager hears that the ports listen, then what the relay does, and that it stops before the grace begins. During
// the grace the relay is alive, and not ready.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	for _, abstract := range []bool{false, true} {
		m := listenAsManager(t, abstract)
		port, admin := freePort(t), fmt.Sprintf("127.0.0.1:%d", freePort(t))
		cmd := command(t, "serve", "--grace", "1h", "--config", settingsFile(t, port, startProvider(t)))
		cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.name, "WATCHDOG_USEC=200000", "Admin__Address="+admin)
		p := startCommand(t, cmd)
		m.hears("READY=1", "STATUS=", "WATCHDOG=", "STOPPING=")
		tunnel := openTunnel(t, port) // the port listens
		if got := m.hears("STATUS=", "STOPPING="); !strings.HasPrefix(got, "STATUS=ports: 1, connections: ") {
			t.Errorf("the status is %q", got)
		}
		m.hears("WATCHDOG=1", "STOPPING=")
		for _, args := range [][]string{{"health"}, {"health", "--alive"}} {
			if got := runs(t, append(args, "--admin", admin)...); got.status != exitOK {
				t.Errorf("%q of a relay that serves: %+v", args, got)
			}
		}
		p.signal(syscall.SIGTERM)
		m.hears("STOPPING=1")
		p.logged("stopping")
		awaitThat(t, "the relay is not ready", func() bool { return runs(t, "health", "--admin", admin).status == exitFailure })
		if got := runs(t, "health", "--admin", admin); got.errOut != "proxymap: "+admin+": answers 503: draining: it was told to stop\n" {
			t.Errorf("health of a relay that drains: %+v", got)
		}
		if got := runs(t, "health", "--alive", "--admin", admin); got.status != exitOK || got.out != admin+": ok\n" {
			t.Errorf("health --alive of a relay that drains: %+v", got)
		}
		m.hears("WATCHDOG=1") // it is alive
		tunnel.Close()        // the last connection
		p.exits(exitOK)
	}
}
