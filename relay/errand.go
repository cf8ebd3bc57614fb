package relay

import (
	"sync"
	"sync/atomic"

	"proxymap/session"
)

// Rotations reach the loops by errands, one at a time: what is wanted while an errand is under way waits for the next,
// which is one message for each loop, however many ports want something. Thousands of sessions may expire at the same
// moment, and hundreds of callers may have theirs replaced.

const (
	// sweepBudget is how many connections a loop cuts between two looks at what else has come: a few milliseconds' work.
	sweepBudget = 128

	// sweepLook is how many it looks at for that. A port without any counts as one.
	sweepLook = 4096
)

// A want is what a rotation wants of the connections of one port.
type want struct {
	port    *port
	how     session.OnRotate // Drain or CloseAll
	own     bool             // the relay has begun the rotation of itself: connections that will take the next session by themselves are spared
	through uint64           // number of the last session whose connections it reaches; those before it are over too
	count   *reached
}

// reached is how many connections a rotation has reached.
type reached struct{ closed, draining atomic.Int64 }

// isOf reports whether a connection belongs to one of the sessions that are meant.
func (w *want) isOf(c *conn) bool { return c.sess != nil && c.sess.Number() <= w.through }

// marks stay at a port when a rotation has been through, for connections that are on their way from one loop to another: no
// roster has them. They are the wants that go furthest, for each way to reach connections. Whoever takes a connection over
// does to it what they say.
type marks struct{ closes, drains atomic.Pointer[want] }

// set leaves a mark, unless one that goes further is there.
func (m *marks) set(w want) {
	at := &m.closes
	if w.how == session.Drain {
		at = &m.drains
	}
	for {
		old := at.Load()
		if old != nil && old.through > w.through || at.CompareAndSwap(old, &w) {
			return
		}
	}
}

// catchUp does to a connection from another loop what rotations have done meanwhile to those of its session.
func (m *marks) catchUp(c *conn) (goesOn bool) {
	for _, w := range [...]*want{m.closes.Load(), m.drains.Load()} {
		if w != nil && w.isOf(c) {
			c.l.reach(c, w)
			return c.stage != stageClosed // a panic ends it too
		}
	}
	return true
}

// An errand has all loops reach connections of some ports, each its own. A connection that a loop takes over after the
// marks are set is looked at then, and one that it has had before is in a roster that it walks, unless it has gone on to be
// taken over once more. So one errand misses none.
type errand struct {
	wants []want
	calls []call
	left  atomic.Int64 // loops that have not done it yet, and shares that are not closed

	ended int      // wants of sessions that have ended without a call
	own   *reached // by these
}

// A call is told what its rotation has reached.
type call struct {
	count *reached
	done  func(closed, draining int)
}

// errands are those of a relay.
type errands struct {
	mu       sync.Mutex
	next     *errand // what is wanted since the last one has begun; nil: nothing
	underway bool
}

// rotate has connections of some ports reached, and done called when all have been, on a loop mostly; nil: nobody needs to
// know. It may be called from any goroutine, and while slots are locked.
//
// All rotations come here: by a call of the Session API, for whatever ports the operator names (Relay.Rotate), by a
// session's time, by its idle time, by signals, and by its number of requests. The last four are the relay's own.
func (r *Relay) rotate(wants []want, done func(closed, draining int)) {
	if r.errands.add(wants, done) {
		r.sendErrand()
	}
}

// add has the next errand do what is wanted too, and reports whether it can begin at once.
func (s *errands) add(wants []want, done func(closed, draining int)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = &errand{own: new(reached)}
	}
	e := s.next
	count := e.own
	if done != nil {
		count = new(reached)
		e.calls = append(e.calls, call{count, done})
	}
	for _, w := range wants {
		w.count = count
		if !w.own {
			w.port.wanted = 0 // what comes after it stays after it: it counts what it reaches
		} else if e.joins(w) {
			continue
		}
		e.wants = append(e.wants, w)
	}
	begins := !s.underway
	s.underway = true
	return begins
}

// joins reports whether the same is wanted already, of earlier sessions of the port: requests may have one end after the
// other while an errand is under way, and what waits must be bounded, by the ports and the callers.
func (e *errand) joins(w want) bool {
	if i := w.port.wanted; i > 0 {
		e.wants[i-1].through = max(e.wants[i-1].through, w.through)
		return true
	}
	e.ended++
	w.port.wanted = len(e.wants) + 1
	return false
}

// take returns the next errand, nil if nothing is wanted.
func (s *errands) take() *errand {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.next
	s.next, s.underway = nil, e != nil
	if e != nil {
		for i := range e.wants {
			e.wants[i].port.wanted = 0
		}
	}
	return e
}

// sendErrand has all loops begin with what is wanted by now.
func (r *Relay) sendErrand() {
	e := r.errands.take()
	if e == nil {
		return
	}
	for i := range e.wants {
		e.wants[i].port.marks.set(e.wants[i])
	}
	e.left.Store(int64(len(r.loops)))
	for _, l := range r.loops {
		if !l.ask(func() { l.walk.errand = e }) {
			r.finish(e) // it has ended, and has no connections
		}
	}
}

// finish is called for each loop when it has done the errand, and for each share when it is closed.
func (r *Relay) finish(e *errand) {
	if e.left.Add(-1) > 0 {
		return
	}
	for _, c := range e.calls {
		c.done(int(c.count.closed.Load()), int(c.count.draining.Load()))
	}
	if e.ended > 0 {
		r.log.Debug("sessions have ended", "ports", e.ended, "closed", e.own.closed.Load(), "draining", e.own.draining.Load())
	}
	r.sendErrand()
}

// A walk is a loop's way through an errand: all rosters that it has of the ports, one connection after the other, some at
// a time. Connections that join a roster meanwhile stand before those that are still to be looked at; none needs to be:
// they belong to later sessions, or the marks have been seen to when they were taken over.
type walk struct {
	errand *errand // nil: there is none
	over   bool    // all have been looked at
	begun  int     // wants that have been begun
	at     *conn   // to be looked at next; nil: this is the end of a roster. seat.leave moves it on
}

// next is the next connection, and what is wanted of it. c is nil where a roster begins, and w too at the end.
func (k *walk) next(l *loop) (c *conn, w *want) {
	wants := k.errand.wants
	if c = k.at; c != nil {
		k.at = c.seat.next // at once, for c may be gone soon
		return c, &wants[k.begun-1]
	}
	if k.begun == len(wants) {
		return nil, nil
	}
	w = &wants[k.begun]
	k.begun++
	if r := w.port.rosters.on(l); r != nil {
		k.at = r.first
	}
	return nil, w
}

// goOn goes on as far as the budget goes.
func (k *walk) goOn(l *loop) {
	cut := 0
	for looks := 0; looks < sweepLook && cut < sweepBudget; looks++ {
		c, w := k.next(l)
		if w == nil {
			k.over = true
			break
		}
		if c == nil {
			continue
		}
		l.looked++
		if w.isOf(c) && l.reach(c, w) {
			cut++
		}
	}
	if cut > 0 {
		l.helper.cutting.Store(true)
	}
}

// end ends a walk that is over. What it has cut is closed by then, but for what other loops close.
func (k *walk) end(l *loop) {
	if !k.over {
		return
	}
	e := k.errand
	*k = walk{}
	l.helper.cutting.Store(false)
	l.relay.finish(e)
}
