package relay

import (
	"time"

	"proxymap/relay/internal/kernel"
)

// Both sides of a connection get TCP keep-alive, so that what stands between keeps a quiet tunnel, and a peer that has
// vanished is noticed. Clients' sockets inherit it from their listener (kernel.Listen), which costs nothing. An upstream socket
// would cost calls that most of them do not live for: it gets it when it has stood for a while. That is looked at
// where the connection's deadline is, in its one entry of the loop's timers, which is mostly due before anyway.

// keepAliveAge is how old an upstream connection is when it gets keep-alive, unless Limits.KeepAlive is shorter. The
// shortest time after which a NAT drops what is quiet is longer.
const keepAliveAge = 30 * time.Second

// keepAliveAt is the loop's time at which an upstream socket that has connected now gets keep-alive; 0: never.
func (l *Limits) keepAliveAt(now int64) int64 {
	if l.KeepAlive < 0 {
		return 0
	}
	return now + int64(min(keepAliveAge, l.KeepAlive))
}

// keepAlive gives the socket keep-alive if its time for that has come.
func (s *socket) keepAlive(now int64, idle time.Duration) {
	if s.keepAliveAt != 0 && now >= s.keepAliveAt {
		s.keepAliveAt = 0
		kernel.KeepAlive(s.fd, idle)
	}
}
