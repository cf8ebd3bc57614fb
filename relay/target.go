package relay

import (
	"net/netip"
	"strings"
	"sync"

	"proxymap/relay/refusal"
)

// maxTargets is how many targets' addresses are remembered, of those that are dialled or resolved here. It bounds memory:
// a scraper may ask for millions of hosts.
const maxTargets = 4096

// targets are the hosts that requests go to without an upstream proxy, with what their names stand for. It is locked, for
// all loops share it; it is asked once for a connection to a target, not for each request.
type targets struct {
	mu   sync.Mutex
	byID map[string]*server // by host:port, in lower case
}

// of returns what is known of a target.
func (t *targets) of(host []byte, port uint16) *server {
	srv := newServer(Server{Host: strings.ToLower(strings.TrimSuffix(string(host), ".")), Port: port})
	id := srv.name()
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.byID[id]; known != nil {
		return known
	}
	if len(t.byID) >= maxTargets {
		n := 0
		for id := range t.byID { // any quarter of them will do
			delete(t.byID, id)
			if n++; n > maxTargets/4 {
				break
			}
		}
	}
	if t.byID == nil {
		t.byID = map[string]*server{}
	}
	t.byID[id] = srv
	return srv
}

// forbidden says why a target's address must not be dialled, 0 if it may. The relay's own ports are never a target:
// requests would go round in circles.
func (m *mapping) forbidden(addr netip.AddrPort) refusal.Code {
	ip := addr.Addr().Unmap().WithZone("")
	if m.owns(netip.AddrPortFrom(ip, addr.Port())) {
		return refusal.OwnPort
	}
	local := ip.IsLoopback() || ip.IsUnspecified() || ip.IsLinkLocalUnicast()
	if local && !m.AllowLocalTargets {
		return refusal.LocalTarget
	}
	return 0
}
