package session

import (
	"errors"
	"sync"
	"sync/atomic"
)

// A Slot is the session of one port. It may be used from any goroutine. NewSlot makes one; the zero value is of no use.
type Slot struct {
	plan    *Plan
	mu      sync.Mutex // held by those who replace current
	current atomic.Pointer[Session]
	server  atomic.Int32

	// Changed is told of each change, in their order, and of what has made it. It must be set before the slot is used, and
	// must neither block nor call the slot; nil: nobody is told.
	Changed func(change Change, reason string)
}

// tell tells of a change that has been made. s.mu is held, so those of a slot come in their order.
func (s *Slot) tell(change Change, reason string) Change {
	if s.Changed != nil && change != (Change{}) {
		s.Changed(change, reason)
	}
	return change
}

// NewSlot makes the slot of a port. It has no session yet, and its server is the first.
func NewSlot(p *Plan) *Slot { return &Slot{plan: p} }

// Plan is what the slot's sessions are made by.
func (s *Slot) Plan() *Plan { return s.plan }

// Current returns the port's session, and makes one for the client if there is none or it has expired. It is nil where
// the lifetime is 0: each client connection is a session of its own then.
func (s *Slot) Current(now int64, c *Client) *Session {
	if made := s.current.Load(); made != nil && now < made.expires {
		return made
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
	made, _ := s.plan.New(now, c, nil) // without given parameters there is no error
	s.tell(Change{Old: s.current.Swap(made), New: made}, ReasonTraffic)
	return made
}

// Peek returns the port's session if there is one that has not expired, else nil.
func (s *Slot) Peek(now int64) *Session {
	if c := s.current.Load(); c != nil && now < c.expires {
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
	made, err := s.plan.New(now, nil, given)
	if err == nil && made == nil && len(given) > 0 {
		err = errNoSession
	}
	if err != nil {
		return Change{}, err
	}
	return s.tell(Change{Old: s.current.Swap(made), New: made}, ReasonNew), nil
}

// Replace replaces a session by a new one with the same parameters, if it is the slot's still. It reports whether it was.
func (s *Slot) Replace(old *Session, now int64, reason string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old == nil || s.Peek(now) != old {
		return false
	}
	made, err := s.plan.New(now, nil, old.params)
	if err != nil {
		return false // the parameters have made a session once
	}
	s.current.Store(made)
	s.tell(Change{Old: old, New: made}, reason)
	return true
}

// Drop removes a session, if it is the slot's still. It reports whether it was.
func (s *Slot) Drop(old *Session, reason string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old == nil || !s.current.CompareAndSwap(old, nil) {
		return false
	}
	s.tell(Change{Old: old}, reason)
	return true
}

var errNoSession = errors.New("the lifetime is 0, so each client connection is a session of its own, and there is none that could have parameters; " +
	"set StickyProxyLifetime in the settings")

// Reset removes the session. The next Current makes a new one.
func (s *Slot) Reset() Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tell(Change{Old: s.current.Swap(nil)}, ReasonReset)
}

// Server is the index of the upstream server that the port's sessions are pinned to.
func (s *Slot) Server() int { return int(s.server.Load()) }

// Pin pins the port to a server.
func (s *Slot) Pin(server int) { s.server.Store(int32(server)) }

// Repin moves the pin from a server that failed to the next. Who comes second takes what the first has chosen: the
// result is where the pin is now.
func (s *Slot) Repin(failed, next int) int {
	s.server.CompareAndSwap(int32(failed), int32(next))
	return s.Server()
}
