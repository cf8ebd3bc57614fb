package relay

import (
	"sync/atomic"
	"time"

	"proxymap/session"
)

// Another session alone changes nothing for those who keep their connections open. So a rotation may also reach the
// connections that belong to sessions which are no longer the port's: every loop goes through its own, some at a time,
// and what started it hears how many they were. The data path knows nothing of that but one look at a deadline.
const (
	// sweepBudget is how many connections a loop cuts between two looks at what else has come: a few milliseconds' work.
	sweepBudget = 128

	// sweepLook is how many it looks at for that.
	sweepLook = 4096

	// expiryPeriod is how often all ports are looked at for sessions that have expired.
	expiryPeriod = time.Second
)

// A sweep is one loop's part of a rotation.
type sweep struct {
	ports  map[*port]bool
	how    session.OnRotate // Drain or CloseAll
	caller ref              // a connection that is left alone, if it is this loop's
	calls  bool             // there is one
	spare  bool             // those that are being dialled for are left alone
	next   int              // index in l.conns of the next to be looked at

	swept
	done func(swept)
}

// swept is what a sweep has come to.
type swept struct{ closed, draining int }

// startSweep begins a sweep of the loop's connections.
func (l *loop) startSweep(s *sweep) { l.sweeps = append(l.sweeps, s) }

// sweepOn goes on with the first sweep, as far as its budget goes.
func (l *loop) sweepOn() {
	s := l.sweeps[0]
	cut := 0
	for end := min(s.next+sweepLook, len(l.conns)); s.next < end && cut < sweepBudget; s.next++ {
		c := l.conns[s.next]
		if c == nil || c.stage == stageClosed || !s.ports[c.port] || s.calls && s.caller == c.ref() {
			continue
		}
		if s.reach(c) {
			cut++
		}
	}
	if s.next >= len(l.conns) {
		l.sweeps = l.sweeps[1:]
		s.done(s.swept)
	}
}

// reach does to a connection what the rotation says, and reports whether that has cut it.
func (s *sweep) reach(c *conn) (cut bool) {
	belongs := c.belongs()
	if belongs == nil || belongs == c.port.slot.Peek(c.l.wall) {
		return false
	}
	switch {
	case c.stage == stageDial && s.spare:
		return false
	case c.stage == stageAPIContent, c.stage == stageAPI, c.stage == stageLinger, c.x != nil && c.x.api != nil:
		return false // an answer of ours is on its way to it
	case c.stage == stageIdle:
		c.close()
	case s.how == session.CloseAll:
		c.reset()
	default:
		if c.drainBy == 0 {
			c.drainBy = c.l.now + int64(c.port.mapping.DrainTime)
			c.arm()
			s.draining++
		}
		return false
	}
	s.closed++
	return true
}

// belongs is the session that the connection belongs to: that of its last request that went upstream, from the moment on
// when its credentials are chosen. nil: none, or one of its own.
func (c *conn) belongs() *session.Session {
	if c.stage == stageDial {
		return c.x.dial.session
	}
	return c.sess
}

// A rotation has all loops sweep the connections of some ports.
//
// They do so twice: a connection that one loop gives to another between the two's sweeps would be missed, but it is in
// the other's mailbox before the second sweep is.
type rotation struct {
	r      *Relay
	ports  map[*port]bool
	how    session.OnRotate
	caller *conn // that is left alone; nil: none
	spare  bool  // those that are being dialled for are left alone too
	again  bool
	done   func(swept) // called once, on a loop

	left, closed, draining atomic.Int64
}

// rotate begins a rotation. It may be called from any goroutine.
func (r *Relay) rotate(ports map[*port]bool, how session.OnRotate, caller *conn, done func(swept)) {
	(&rotation{r: r, ports: ports, how: how, caller: caller, again: len(r.loops) > 1, done: done}).round()
}

func (ro *rotation) round() {
	ro.left.Store(int64(len(ro.r.loops)))
	for _, l := range ro.r.loops {
		s := &sweep{ports: ro.ports, how: ro.how, spare: ro.spare, done: ro.sweptOne}
		if c := ro.caller; c != nil && c.l == l {
			s.caller, s.calls = c.ref(), true
		}
		l.do(func() { l.startSweep(s) })
	}
}

// sweptOne is called by each loop.
func (ro *rotation) sweptOne(s swept) {
	ro.closed.Add(int64(s.closed))
	ro.draining.Add(int64(s.draining))
	switch {
	case ro.left.Add(-1) > 0:
	case ro.again:
		ro.again = false
		ro.round()
	default:
		ro.done(swept{int(ro.closed.Load()), int(ro.draining.Load())})
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

// watchExpiry has sessions that expire reach their connections, until stop is closed. New sessions last a minute at
// least, mostly, so looking at all ports once a second, and when the next one expires, finds each in time.
func (r *Relay) watchExpiry(stop <-chan struct{}) {
	var watched []*port
	for _, p := range r.ports {
		if m := p.mapping; r.hasSubscribers() || m.reaches() || m.IdleLifetime > 0 {
			watched = append(watched, p)
		}
	}
	if len(watched) == 0 {
		return
	}
	seen := make([]*session.Session, len(watched)) // the last one that has expired
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
		expired := map[session.OnRotate]map[*port]bool{}
		for i, p := range watched {
			s := p.slot.Last()
			switch {
			case s == nil || s == seen[i]:
				continue
			case s.Expires() <= now:
				r.tell(p, session.Change{Old: s}, reasonExpired)
			case p.isIdle(r.clock()) && p.slot.Drop(s, reasonIdle): // counted from its beginning, see watch
			default:
				next = min(next, s.Expires())
				continue
			}
			seen[i] = s
			if how := p.mapping.OnRotate; p.mapping.reaches() {
				if expired[how] == nil {
					expired[how] = map[*port]bool{}
				}
				expired[how][p] = true
			}
		}
		for how, ports := range expired {
			r.rotate(ports, how, nil, func(n swept) {
				r.log.Debug("sessions have expired", "ports", len(ports), "closed", n.closed, "draining", n.draining)
			})
		}
		timer.Reset(time.Duration(next - now))
	}
}
