package relay

import (
	"sync"
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

	// spareTime is what the response that sets a rotation off has to come whole, where DrainTime says nothing.
	spareTime = 10 * time.Second

	// expiryPeriod is how often all ports are looked at for sessions that have expired.
	expiryPeriod = time.Second
)

// A reaching is what a rotation does to a port's connections.
type reaching struct {
	how     session.OnRotate // Drain or CloseAll
	through uint64           // number of the last session whose connections it reaches; those before it are over too
}

// reached is how many connections a rotation has reached.
type reached struct{ closed, draining atomic.Int64 }

// A mark stays at a port behind a rotation, for connections that are on their way from one loop to another: no loop that
// sweeps has them. Whoever takes one over does to it what the mark says.
type mark struct {
	through uint64
	count   *reached
}

// marks are those of the rotation that goes furthest, for each way to reach connections.
type marks struct{ closes, drains atomic.Pointer[mark] }

// set leaves a rotation's mark, unless one that goes further is there.
func (m *marks) set(what reaching, count *reached) {
	at := &m.closes
	if what.how == session.Drain {
		at = &m.drains
	}
	made := &mark{what.through, count}
	for {
		old := at.Load()
		if old != nil && old.through > made.through || at.CompareAndSwap(old, made) {
			return
		}
	}
}

// A rotation has all loops sweep the connections of some ports, each its own. A connection that a loop takes over after
// the marks are set is looked at then, and one that it has had before is swept, unless it has gone on to be taken over
// once more. So one round misses none.
type rotation struct {
	ports map[*port]reaching
	own   bool // the relay has begun it of itself: connections that will take the next session by themselves are spared
	done  func(closed, draining int)
	left  atomic.Int64 // loops that have not swept yet
	reached
}

// rotate begins a rotation, and has done called once, on a loop mostly. It may be called from any goroutine.
func (r *Relay) rotate(ports map[*port]reaching, own bool, done func(closed, draining int)) {
	ro := &rotation{ports: ports, own: own, done: done}
	for p, what := range ports {
		p.marks.set(what, &ro.reached)
	}
	ro.left.Store(int64(len(r.loops)))
	for _, l := range r.loops {
		if !l.ask(func() { l.sweeps = append(l.sweeps, &sweep{rotation: ro}) }) {
			ro.sweptOne() // it has ended, and has no connections
		}
	}
}

// sweptOne is called for each loop.
func (ro *rotation) sweptOne() {
	if ro.left.Add(-1) == 0 {
		ro.done(int(ro.closed.Load()), int(ro.draining.Load()))
	}
}

// A sweep is one loop's part of a rotation.
type sweep struct {
	*rotation
	next int // index in l.conns of the next to be looked at
}

// sweepOn goes on with the first sweep, as far as its budget goes.
func (l *loop) sweepOn() {
	s := l.sweeps[0]
	cut := 0
	for end := min(s.next+sweepLook, len(l.conns)); s.next < end && cut < sweepBudget; s.next++ {
		c := l.conns[s.next]
		if c == nil || c.stage == stageClosed {
			continue
		}
		if what, is := s.ports[c.port]; is && c.isOf(what.through) && c.reach(what.how, s.own, &s.reached) {
			cut++
		}
	}
	if s.next >= len(l.conns) {
		l.sweeps = l.sweeps[1:]
		s.sweptOne()
	}
}

// catchUp does to a connection from another loop what rotations have done meanwhile to those of its session.
func (c *conn) catchUp() {
	if m := c.port.marks.closes.Load(); m != nil && c.isOf(m.through) {
		c.reach(session.CloseAll, false, m.count)
	} else if m := c.port.marks.drains.Load(); m != nil && c.isOf(m.through) {
		c.reach(session.Drain, false, m.count)
	}
}

// belongs is the session that the connection belongs to: that of its last request that went upstream, from the moment on
// when its credentials are chosen. nil: none, or one of its own.
func (c *conn) belongs() *session.Session {
	if c.stage == stageDial {
		return c.x.dial.session
	}
	return c.sess
}

// isOf reports whether the connection belongs to one of the port's sessions up to that number.
func (c *conn) isOf(through uint64) bool {
	s := c.belongs()
	return s != nil && s.Number() <= through
}

// reach does to a connection what a rotation says, and reports whether that has cut it. own says that the relay has begun
// the rotation of itself.
func (c *conn) reach(how session.OnRotate, own bool, count *reached) (cut bool) {
	switch {
	case c.stage == stageDial && own:
		return false // its request will go under the next session
	case c.stage == stageAPIContent, c.stage == stageAPI, c.stage == stageLinger, c.x != nil && c.x.api != nil:
		c.leaveSession() // an answer of ours is on its way to it
		return false
	case c.stage == stageIdle:
		c.close()
	case how == session.CloseAll && !(own && c.isSpared()):
		c.reset()
	default:
		if c.drainBy == 0 {
			c.drainBy = c.l.now + int64(c.drainTime())
			c.arm()
			count.draining.Add(1)
		}
		return false
	}
	count.closed.Add(1)
	return true
}

// isSpared reports whether the connection's response is what has set a rotation off. It comes whole, and then the
// connection ends.
func (c *conn) isSpared() bool { return c.x != nil && c.x.spared }

// drainTime is what a connection is given to end.
func (c *conn) drainTime() time.Duration {
	if d := c.port.mapping.DrainTime; d > 0 || !c.isSpared() {
		return d
	}
	return spareTime
}

// leaveSession gives up what a connection that carries no request upstream has of its session, which is over.
func (c *conn) leaveSession() {
	c.closeUpstream()
	c.sess = nil
}

// endings gathers ports whose sessions have ended, but not by a call. One round of the loops does for all that come while
// the round before is under way: thousands of sessions may expire at the same moment.
type endings struct {
	mu       sync.Mutex
	ports    map[*port]reaching // that wait for the next round
	underway bool
}

// sessionEnded has the end of a port's sessions up to that number reach their connections, as the settings say. It may be
// called from any goroutine, and while the slot is locked.
func (r *Relay) sessionEnded(p *port, through uint64) {
	if !p.mapping.reaches() {
		return
	}
	e := &r.endings
	e.mu.Lock()
	if e.ports == nil {
		e.ports = map[*port]reaching{}
	}
	e.ports[p] = reaching{p.mapping.OnRotate, through}
	begins := !e.underway
	e.underway = true
	e.mu.Unlock()
	if begins {
		r.reachEnded()
	}
}

// reachEnded begins the round for those that wait, if there are any.
func (r *Relay) reachEnded() {
	e := &r.endings
	e.mu.Lock()
	ports := e.ports
	e.ports, e.underway = nil, len(ports) > 0
	e.mu.Unlock()
	if len(ports) == 0 {
		return
	}
	r.rotate(ports, true, func(closed, draining int) {
		r.log.Debug("sessions have ended", "ports", len(ports), "closed", closed, "draining", draining)
		r.reachEnded()
	})
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
	var watched []*port
	for _, p := range r.ports {
		if m := p.mapping; r.hasSubscribers() || m.reaches() || m.IdleLifetime > 0 {
			watched = append(watched, p)
		}
	}
	if len(watched) == 0 {
		return
	}
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
		for _, p := range watched {
			if p.slot.Expire(now) {
				continue
			}
			s := p.slot.Peek(now)
			if s == nil || p.isIdle(r.clock()) && p.slot.Drop(s, reasonIdle) { // counted from its beginning, see watch
				continue
			}
			next = min(next, s.Expires())
		}
		timer.Reset(time.Duration(next - now))
	}
}
