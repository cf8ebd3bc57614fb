package relay

import (
	"sync/atomic"
	"time"

	"proxymap/httpparse"
)

// oddLogPause is how long a port's log line about one kind of odd response is not repeated.
const oddLogPause = time.Minute

// oddCounts counts responses by what is odd in them. Each loop has its own.
type oddCounts [httpparse.NumOddities]atomic.Int64

// addTo adds what has been counted to s.
func (o *oddCounts) addTo(s *Stats) {
	for kind := range httpparse.NumOddities {
		if n := o[kind].Load(); n > 0 {
			s.addOdd(kind.String(), n)
		}
	}
}

func (s *Stats) addOdd(kind string, n int64) {
	if s.OddResponses == nil {
		s.OddResponses = map[string]int64{}
	}
	if s.OddResponses[kind] += n; s.OddResponses[kind] == 0 {
		delete(s.OddResponses, kind)
	}
}

// An oddLog is when a port has last logged each kind of odd response, in wall time. It is made at the port's first one.
type oddLog [httpparse.NumOddities]atomic.Int64

// due reports whether the kind is to be logged at that time.
func (o *oddLog) due(kind httpparse.Oddity, now int64) bool {
	last := o[kind].Load()
	return (last == 0 || now-last >= int64(oddLogPause)) && o[kind].CompareAndSwap(last, now)
}

// noteOdd counts and logs what is odd in a response to the connection's request, each kind once.
func noteOdd(c *conn, found httpparse.Oddities) {
	found &^= c.x.odd
	if found == 0 {
		return
	}
	c.x.odd |= found
	p := c.port
	if p.odd.Load() == nil {
		p.odd.CompareAndSwap(nil, new(oddLog))
	}
	from := "the target"
	if c.server >= 0 {
		from = c.m.servers[c.server].name()
	}
	for kind := range found.All() {
		c.l.odd[kind].Add(1)
		if p.odd.Load().due(kind, c.l.wall) {
			c.l.relay.log.Debug("odd response", "port", p.addr.Port(), "client", c.from, "from", from, "kind", kind.String(),
				"closes", httpparse.Oddities(0).With(kind).InDoubt())
		}
	}
}
