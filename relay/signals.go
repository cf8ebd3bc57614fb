package relay

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"proxymap/session"
)

// A session may be worth no more before its time: the exit address is banned, the provider's peer has gone, or it has had
// no traffic and the provider has dropped it. What a relay can see of that without opening TLS is a status, a failure to
// connect, and the lack of traffic.

// An UpstreamError is a set of ways in which an upstream server fails.
type UpstreamError uint8

// The ways in which an upstream server fails.
const (
	ErrorRefused UpstreamError = 1 << iota // it takes no connection
	ErrorTimeout                           // it does not answer connecting
	ErrorReset                             // it resets the connection before the first byte of a response
)

// A Signal is something that counts against a session, and how often it must come.
type Signal struct {
	Status []int         // of responses to plain requests and to CONNECT
	Errors UpstreamError // of the server
	Count  int           // of them all, which has another session take its place; 1 at least
	Within time.Duration // in which they must come
}

const (
	reasonIdle     = "idle"
	reasonRequests = "requests"
)

// What bounds a mapping's signals, as each is counted for each of its ports, and keeps the times of those that count.
const (
	MaxSignals     = 20   // of a mapping
	MaxSignalCount = 1000 // of a signal
)

// checkSignals checks a mapping's signals against what bounds them.
func checkSignals(list []Signal) error {
	if len(list) > MaxSignals {
		return fmt.Errorf("%d signals: at most %d are allowed", len(list), MaxSignals)
	}
	for i := range list {
		if n := list[i].Count; n < 1 || n > MaxSignalCount {
			return fmt.Errorf("signal %d: count %d: must be 1 to %d", i+1, n, MaxSignalCount)
		}
	}
	return nil
}

// signals is what has come of a port's signals. It is locked: connections of all loops may belong to the port's session.
// Nothing of it is there until the first one.
type signals struct {
	mu      sync.Mutex
	of      *session.Session // that they count against
	m       *mapping         // whose they are
	times   [][]int64        // by signal: the loops' times of the last ones
	rotated int64            // the loops' time of the last rotation
}

// signal is called when something has happened, a status or an error, that may count against the session s, which the
// connection belongs to.
func (c *conn) signal(status int, failed UpstreamError, s *session.Session) {
	m := c.m
	if len(m.RotateOn) == 0 || s == nil || c.port.slot.Peek(c.l.wall) != s {
		return
	}
	for i := range m.RotateOn {
		want := &m.RotateOn[i]
		if failed&want.Errors == 0 && !slices.Contains(want.Status, status) {
			continue
		}
		if c.port.signals.count(i, s, m, c.l.now) {
			c.rotateBySignal(s, status, failed, want)
			return
		}
	}
}

// errorOfDial is what it counts as that a server could not be connected to; 0: as nothing.
func errorOfDial(err error) UpstreamError {
	switch err {
	case errDialTimeout, unix.ETIMEDOUT:
		return ErrorTimeout
	case unix.ECONNREFUSED:
		return ErrorRefused
	}
	return 0
}

// count counts one of the i-th signal, and reports whether it is time for another session.
func (g *signals) count(i int, s *session.Session, m *mapping, now int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.of != s || g.m != m {
		g.of, g.m, g.times = s, m, make([][]int64, len(m.RotateOn))
	}
	want := &m.RotateOn[i]
	times := append(g.times[i], now)
	if n := max(want.Count, 1); len(times) > n {
		times = times[:copy(times, times[len(times)-n:])]
	}
	g.times[i] = times
	enough := len(times) >= want.Count && now-times[0] <= int64(want.Within)
	if !enough || g.rotated != 0 && now-g.rotated < int64(m.RotateMinInterval) {
		return false
	}
	g.rotated = now
	return true
}

func (c *conn) rotateBySignal(s *session.Session, status int, failed UpstreamError, want *Signal) {
	reason := fmt.Sprintf("%s, %d within %v", signalName(status, failed), want.Count, want.Within)
	if c.port.slot.Replace(s, c.l.wall, reason) {
		c.x.spared = c.m.reaches()
		c.l.relay.log.Info("a session is replaced", "port", c.port.addr.Port(), "old", s.ID(), "reason", reason)
	}
}

func signalName(status int, failed UpstreamError) string {
	switch failed {
	case ErrorRefused:
		return "upstream refused"
	case ErrorTimeout:
		return "upstream timeout"
	case ErrorReset:
		return "upstream reset-before-first-byte"
	}
	return fmt.Sprintf("status %d", status)
}

// idleLook is how exactly the last traffic is known: all loops write it.
const idleLook = 100 * time.Millisecond

// touch notes traffic of the port, where IdleLifetime asks for it.
func (p *port) touch(now int64) {
	// The loops' clock begins with the relay, so the first traffic may come within that time of 0.
	if used := p.usedAt.Load(); used == 0 || now-used > int64(idleLook) {
		p.usedAt.Store(now)
	}
}

// isIdle reports whether the port has been without traffic for too long.
func (p *port) isIdle(now int64) bool {
	idle, used := p.mapping().IdleLifetime, p.usedAt.Load()
	return idle > 0 && used != 0 && now-used >= int64(idle)
}

// watch has a port's changes told, its new sessions go to the next server in turn, and the end of one that no call has
// ended reach its connections.
func (r *Relay) watch(p *port) {
	p.usedAt.Store(r.clock()) // for a session that it is given before its first traffic
	used := false
	p.slot.Changed = func(change session.Change, reason string) {
		adopted := reason == session.ReasonReload || reason == session.ReasonChanged // with a server
		if used && change.New != nil && !adopted {                                   // the first goes to the server that the port was given at the start
			p.slot.Pin(p.mappingOf(change.New).nextServer())
		}
		used = used || change.New != nil
		if change.New != nil {
			p.usedAt.Store(r.clock()) // a new session has its idle time before it
		}
		r.tell(p, change, reason) // before what comes of it is to be seen
		switch reason {
		case session.ReasonTraffic, session.ReasonNew, session.ReasonReset: // calls say what becomes of connections
		case session.ReasonChanged: // the session goes on
		default:
			r.sessionEnded(p, change.Ended)
		}
	}
}
