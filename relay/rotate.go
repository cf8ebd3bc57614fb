package relay

import (
	"math"
	"time"

	"proxymap/session"
)

// Another session alone changes nothing for those who keep their connections open. So a rotation may also reach the
// connections that belong to sessions which are no longer the port's (errand.go): every loop goes through its own
// (roster.go), some at a time, and what started it hears how many they were. The data path knows nothing of that but one
// look at a deadline.
const (
	// spareTime is what the response that sets a rotation off has to come whole, where DrainTime says nothing.
	spareTime = 10 * time.Second

	// expiryPeriod is how often all ports are looked at for sessions that have expired.
	expiryPeriod = time.Second
)

// reach does to a connection what a rotation wants, and reports whether that has cut it.
func (c *conn) reach(w *want) (cut bool) {
	switch how := c.row().rotation; {
	case how == followsSession && w.own:
		return false
	case how == leavesSession, c.x != nil && c.x.api != nil:
		c.leaveSession()
		return false
	case how == isClosed:
		c.close()
	case w.how == session.CloseAll && !(w.own && c.isSpared()):
		c.reset()
	default:
		if c.drainBy == 0 {
			c.drainBy = c.l.now + int64(c.drainTime())
			c.arm()
			w.count.draining.Add(1)
		}
		return false
	}
	w.count.closed.Add(1)
	return true
}

// isSpared reports whether the connection's response is what has set a rotation off. It comes whole, and then the
// connection ends.
func (c *conn) isSpared() bool { return c.x != nil && c.x.spared }

// drainTime is what a connection is given to end.
func (c *conn) drainTime() time.Duration {
	if d := c.m.DrainTime; d > 0 || !c.isSpared() {
		return d
	}
	return spareTime
}

// sessionEnded has the end of a port's sessions up to that number, which no call has ended, reach their connections, as the
// settings say. It may be called from any goroutine, and while the slot is locked.
func (r *Relay) sessionEnded(p *port, through uint64) {
	if m := p.mapping(); m.reaches() {
		r.rotate([]want{{port: p, how: m.OnRotate, own: true, through: through}}, nil)
	}
}

// reaches reports whether rotations reach connections, by the settings.
func (m *mapping) reaches() bool {
	return m.OnRotate == session.Drain || m.OnRotate == session.CloseAll
}

// onRotate is what becomes of connections when a call has rotated a port.
func (m *mapping) onRotate(called session.OnRotate) session.OnRotate {
	if called == session.OnRotateDefault {
		called = m.OnRotate
	}
	if called == session.OnRotateDefault {
		return session.Keep
	}
	return called
}

// watchExpiry has sessions that expire, or have been idle for too long, end, until stop is closed. New sessions last a
// minute at least, mostly, so looking at all ports once a second, and when the next one expires, finds each in time.
func (r *Relay) watchExpiry(stop <-chan struct{}) {
	timer := time.NewTimer(expiryPeriod)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-timer.C:
		}
		now := time.Now().UnixNano()
		next := now + int64(expiryPeriod)
		for _, p := range r.ports() {
			next = min(next, r.expire(p, now))
		}
		timer.Reset(time.Duration(next - now))
	}
}

// expire has a port's session end if its time has come, or its idle time, and somebody wants to hear of that or connections
// are to be reached. It returns when to look at the port again at the latest.
func (r *Relay) expire(p *port, now int64) int64 {
	if m := p.mapping(); !r.hasSubscribers() && !m.reaches() && m.IdleLifetime <= 0 || p.slot.Expire(now) {
		return math.MaxInt64
	}
	s := p.slot.Peek(now)
	if s == nil || p.isIdle(r.clock()) && p.slot.Drop(s, reasonIdle) { // counted from its beginning, see watch
		return math.MaxInt64
	}
	return s.Expires()
}
