package relay

import (
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"proxymap/relay/internal/kernel"
)

// A connection to a port of this machine on which nobody listens may be given that very port as its own. Then it is joined
// to itself (RFC 9293 section 3.5, simultaneous open): it is established, and answers with what it is told. It counts as
// refused, which it would have been from any other port.
//
// Only the socket can tell, and asking it is a call for each connection. It is asked where the server is on this machine,
// and not for a while behind a connection that was none with itself: somebody listens there, and no connection is given
// a port that is listened on. A server that takes no connection is trusted no more.

// listenerTrust is how long a connection shows that somebody listens where it leads to.
const listenerTrust = 100 * time.Millisecond

// metItself reports whether the socket, which has connected to an address of the server, has connected to itself.
func (s *server) metItself(l *loop, fd int, addr netip.Addr) bool {
	if l.now < s.trustedUntil.Load() || !l.relay.machine.has(addr) {
		return false
	}
	if kernel.MetItself(fd) {
		kernel.ResetOnClose(fd) // or the port would rest for a minute, which is the server's own
		return true
	}
	s.trustedUntil.Store(l.now + int64(listenerTrust))
	return false
}

// machineAddrs are the addresses of this machine as they were when they were last asked for.
type machineAddrs struct {
	known atomic.Pointer[map[netip.Addr]bool]
}

// refresh asks the system for them, which is too slow to be done for a connection.
func (m *machineAddrs) refresh() {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return // what was known may still hold
	}
	known := map[netip.Addr]bool{}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			known[p.Addr().Unmap()] = true
		}
	}
	m.known.Store(&known)
}

// has reports whether a connection to addr stays on this machine.
func (m *machineAddrs) has(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if addr.IsLoopback() || addr.IsUnspecified() {
		return true
	}
	known := m.known.Load()
	return known != nil && (*known)[addr]
}
