package relay

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"proxymap/session"
)

// What Restore gives a port is what its first request goes with, and through which server. What it has kept of the slot
// tells what the port has later, also behind a failover, of which Repinned tells.
func TestRestore(t *testing.T) {
	var slot *session.Slot
	var repinned atomic.Pointer[netip.AddrPort]
	g := newRig(t, func(cfg *Config) {
		m := &cfg.Mappings[0]
		m.Servers = []Server{m.Servers[0], deadServer(t), deadServer(t)}
		cfg.Repinned = func(port netip.AddrPort) { repinned.Store(&port) }
		cfg.Restore = func(port netip.AddrPort, s *session.Slot, servers []Server) {
			if port.Port() == 0 || len(servers) != len(m.Servers) || servers[1].Port != m.Servers[1].Port {
				t.Errorf("port %s with servers %v", port, servers)
			}
			kept, err := s.Plan().Restore("kept", "", time.Now().Add(time.Hour).UnixNano(), time.Hour, nil)
			if err != nil {
				t.Fatal(err)
			}
			slot = s
			slot.Restore(kept)
			slot.Pin(1)
		}
	})
	for range 2 {
		c := g.client(0)
		c.send(get)
		u := g.upstream()
		u.expect(strings.TrimSuffix(get, "\r\n") + basic("user-session-kept", "pass") + "\r\n")
		u.send(ok)
		c.expect(ok)
		if slot.Server() != 0 {
			t.Fatalf("the port is pinned to server %d; want the one that works, 0", slot.Server())
		}
		if port := repinned.Swap(nil); port == nil || *port != g.relay.Ports()[0] {
			t.Fatalf("Repinned is told %v", port)
		}
		slot.Pin(1)
	}
}
