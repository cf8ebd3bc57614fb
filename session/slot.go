package session

import (
	"sync"
	"sync/atomic"
)

// A Slot is the session of one port. It may be used from any goroutine. NewSlot makes one; the zero value is of no use.
type Slot struct {
	base    atomic.Pointer[base]
	mu      sync.Mutex // held by those who replace current
	made    uint64     // sessions so far
	current atomic.Pointer[Session]

	// Changed is told of each change, in their order, and of what has made it. It must be set before the slot is used, and
	// must neither block nor call the slot; nil: nobody is told.
	Changed func(change Change, reason string)
}

// A base is what a slot's sessions are made by, and the server that they are pinned to: one value, because the index of a
// server means nothing without the plan.
type base struct {
	plan   *Plan
	server int
	fixed  bool // server stays what it is
}

// tell tells of a change that has been made. s.mu is held, so those of a slot come in their order.
func (s *Slot) tell(change Change, reason string) Change {
	if s.Changed != nil && (change.Old != nil || change.New != nil) {
		s.Changed(change, reason)
	}
	return change
}

// put makes a session the slot's, nil for none, whatever it had before. s.mu is held.
func (s *Slot) put(made *Session) Change {
	change := Change{New: made, Ended: s.made}
	if made != nil {
		s.made++
		made.number = s.made
	}
	change.Old = s.current.Swap(made)
	return change
}

// expire has the session end if its time has come, and tells that, once. s.mu is held.
func (s *Slot) expire(now int64) bool {
	old := s.current.Load()
	if old == nil || old.isAlive(now) || !old.over.CompareAndSwap(false, true) {
		return false
	}
	s.tell(Change{Old: old, Ended: old.number}, ReasonExpired)
	return true
}

// Expire has the session end if its time has come. Whoever makes the next one does the same first, so it ends once, and
// before its successor begins. It reports whether the session has ended by this call.
func (s *Slot) Expire(now int64) bool {
	if old := s.current.Load(); old == nil || old.isAlive(now) || old.over.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.expire(now)
}

// NewSlot makes the slot of a port. It has no session yet, and its server is the first.
func NewSlot(p *Plan) *Slot {
	s := &Slot{}
	s.base.Store(&base{plan: p})
	return s
}

// Plan is what the slot's sessions are made by.
func (s *Slot) Plan() *Plan { return s.base.Load().plan }

// Current returns the port's session, and makes one for the client if there is none or it has expired. It is nil where
// the lifetime is 0: each client connection is a session of its own then.
func (s *Slot) Current(now int64, c *Client) *Session {
	made := s.current.Load()
	if made.isAlive(now) {
		return made
	}
	if made == nil && s.Plan().aloneWith(c) {
		return nil // for each request, so without the mutex
	}
	return s.make(now, c)
}

// make is Current for a port that needs a session. Those who come at once all get the one that the first of them made.
func (s *Slot) make(now int64, c *Client) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if made := s.Peek(now); made != nil {
		return made
	}
	s.expire(now)
	p := s.Plan()
	made, _ := p.New(now, p.Judged(c), nil) // without given parameters there is no error
	s.tell(s.put(made), ReasonTraffic)
	return made
}

// Peek returns the port's session if there is one that has not expired, else nil.
func (s *Slot) Peek(now int64) *Session {
	if c := s.current.Load(); c.isAlive(now) {
		return c
	}
	return nil
}

// Last returns the port's session, also one that has expired; nil if there is none.
func (s *Slot) Last() *Session { return s.current.Load() }

// Renew replaces the session at once by a new one with the given parameters. Those in the user name of the client that
// asks are not read: the id there could be the very one that it wants to be rid of. Where the lifetime is 0 none takes
// the old one's place, and parameters, which would belong to nothing, are an error. An error is meant for the client;
// nothing has changed then.
func (s *Slot) Renew(now int64, given []Pair) (Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	made, err := s.Plan().New(now, nil, given)
	if err == nil && made == nil && len(given) > 0 {
		err = s.Plan().none
	}
	if err != nil {
		return Change{}, err
	}
	s.expire(now)
	return s.tell(s.put(made), ReasonNew), nil
}

// Replace replaces a session by a new one with the same parameters, if it is the slot's still. It reports whether it was.
func (s *Slot) Replace(old *Session, now int64, reason string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old == nil || s.Peek(now) != old {
		return false
	}
	made, err := s.Plan().New(now, nil, old.params)
	if err != nil {
		return false // the parameters have made a session once
	}
	s.tell(s.put(made), reason)
	return true
}

// Drop removes a session, if it is the slot's still. It reports whether it was.
func (s *Slot) Drop(old *Session, reason string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old == nil || s.current.Load() != old {
		return false
	}
	s.tell(s.put(nil), reason)
	return true
}

// Reset removes the session. The next Current makes a new one.
func (s *Slot) Reset(now int64) Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	return s.tell(s.put(nil), ReasonReset)
}

// Server is the index of the upstream server that the port's sessions are pinned to.
func (s *Slot) Server() int { return s.base.Load().server }

// ServerUnder is Server where the slot's plan is p. It is false if that is another, whose servers are others.
func (s *Slot) ServerUnder(p *Plan) (server int, ok bool) {
	b := s.base.Load()
	return b.server, b.plan == p
}

// Pin pins the port to a server, unless it is pinned to one for good.
func (s *Slot) Pin(server int) {
	s.move(func(b *base) bool { return true }, server)
}

// move pins the port to a server if it may be and if, as the slot is at that moment, there is reason to.
func (s *Slot) move(reason func(*base) bool, server int) {
	for {
		b := s.base.Load()
		if b.fixed || b.server == server || !reason(b) || s.base.CompareAndSwap(b, &base{plan: b.plan, server: server}) {
			return
		}
	}
}

// Fix pins the port to a server for good: Pin and Repin change nothing from then on. It must be called before the slot is
// used.
func (s *Slot) Fix(server int) { s.base.Store(&base{plan: s.Plan(), server: server, fixed: true}) }

// Fixed reports whether the port is pinned to its server for good.
func (s *Slot) Fixed() bool { return s.base.Load().fixed }

// Repin moves the pin from a server that failed to the next, both of p's, unless the port is pinned for good or has another
// plan by now. Who comes second takes what the first has chosen: the result is where the pin is now.
func (s *Slot) Repin(p *Plan, failed, next int) int {
	s.move(func(b *base) bool { return b.plan == p && b.server == failed }, next)
	return s.Server()
}
