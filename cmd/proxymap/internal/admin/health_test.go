package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"proxymap/relay"
)

// A relay that drains is alive until it ends, and not ready.
func TestHealthOfDrain(t *testing.T) {
	g := newAdminRig(t, "")
	hold(t, g.relay.Ports()[0])
	for _, row := range []struct {
		path   string
		status int
		text   string
	}{{"/healthz", 200, "ok\n"}, {"/readyz", 200, "ready\n"}} {
		if res, text := g.do("GET", row.path); res.StatusCode != row.status || text != row.text {
			t.Errorf("%s of a relay that serves: %s: %q", row.path, res.Status, text)
		}
	}
	g.relay.Shutdown(time.Minute)
	if res, text := g.do("GET", "/healthz"); res.StatusCode != 200 || text != "ok\n" {
		t.Errorf("/healthz of a relay that drains: %s: %q", res.Status, text)
	}
	if res, text := g.do("GET", "/readyz"); res.StatusCode != 503 || text != "draining: it was told to stop\n" {
		t.Errorf("/readyz of a relay that drains: %s: %q", res.Status, text)
	}
}

// A process whose loops hang is not alive; the answer says what hangs, and is not waited for longer than turnTime.
func TestHealthOfHang(t *testing.T) {
	for _, row := range []struct {
		err    error
		status int
		text   string
	}{{nil, 200, "ok\n"}, {errors.New("loop 2 hangs"), 503, "loop 2 hangs\n"}} {
		w := httptest.NewRecorder()
		handleHealth(func(ctx context.Context) error {
			if at, ok := ctx.Deadline(); !ok || time.Until(at) > turnTime {
				t.Errorf("it waits until %v, %v", at, ok)
			}
			return row.err
		})(w, httptest.NewRequest("GET", "/healthz", nil))
		if w.Code != row.status || w.Body.String() != row.text {
			t.Errorf("%v: got %d: %q", row.err, w.Code, w.Body)
		}
	}
}

// A relay that runs without a port is alive and not ready, and names the port until it has it.
func TestReadyzMissingPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr)
	g := newAdminRig(t, "", func(cfg *relay.Config) {
		m := &cfg.Mappings[0]
		m.First, m.Last, m.BusyPort = uint16(taken.Port), uint16(taken.Port), relay.SkipBusy
	})
	res, text := g.do("GET", "/readyz")
	if want := fmt.Sprintf("missing %s: others have it\n", taken); res.StatusCode != 503 || text != want {
		t.Errorf("got %s: %q; want %q", res.Status, text, want)
	}
	if res, text := g.do("GET", "/healthz"); res.StatusCode != 200 || text != "ok\n" {
		t.Errorf("/healthz: %s: %q", res.Status, text)
	}
	if _, text := g.do("GET", "/metrics"); !strings.Contains(text, "\nproxymap_ports 1\n") {
		t.Error("the metrics count the port among those that are listened on")
	}
	l.Close()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if res, text = g.do("GET", "/readyz"); res.StatusCode == 200 && text == "ready\n" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("when the port is free: %s: %q", res.Status, text)
		}
	}
	if got := asked(t, g.relay.Ports()[0], askIP); got != "HTTP/1.1 200 OK" {
		t.Errorf("through the port: %q", got)
	}
}

// All reasons are named, but not each of thousands of ports.
func TestLacking(t *testing.T) {
	missing := make([]netip.AddrPort, shownPorts+7)
	text := lacking(true, missing)
	if !strings.HasPrefix(text, "draining: it was told to stop\nmissing ") || strings.Count(text, "\n") != 1+shownPorts || !strings.HasSuffix(text, "\nmissing 7 more") {
		t.Errorf("got %q", text)
	}
}
