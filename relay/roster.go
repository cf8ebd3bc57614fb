package relay

import (
	"sync/atomic"
)

// A rotation is about the connections of one port's sessions, so each loop keeps a list of those: what a rotation costs
// goes by how many they are, whatever else the loop has. The list goes through the connections themselves. Joining it and
// leaving it are a few pointers, and mostly come once in a connection's life: from one request to the next it keeps its
// place, also when the session is another by then.

// A roster is one loop's list of the connections that belong to the sessions of one slot: those with a conn.sess. It is
// made when the loop gets the slot's first, so slots at rest cost nothing. Only its loop looks at first.
type roster struct {
	next  *roster // of the same slot, another loop's
	loop  *loop
	first *conn
}

// rosters are those of one slot.
type rosters struct{ made atomic.Pointer[roster] }

// on is the roster of a loop, nil if it has none.
func (s *rosters) on(l *loop) *roster { return find(s.made.Load(), l) }

func find(r *roster, l *loop) *roster {
	for r != nil && r.loop != l {
		r = r.next
	}
	return r
}

// enlist puts a connection into the roster of its loop, where it is the first from then on.
func (s *rosters) enlist(c *conn) {
	for {
		made := s.made.Load()
		r := find(made, c.l)
		if r == nil {
			r = &roster{next: made, loop: c.l}
			if !s.made.CompareAndSwap(made, r) {
				continue
			}
		}
		c.seat = seat{next: r.first, prev: &r.first}
		if r.first != nil {
			r.first.seat.prev = &c.seat.next
		}
		r.first = c
		return
	}
}

// A seat is a connection's place in a roster. The zero value is none.
type seat struct {
	next *conn
	prev **conn // what points to the connection: the roster's first, or the next of the one before it
}

// leave takes a connection of the loop out of its roster, if it is in one. A walk that would look at it next looks at the
// one behind it.
func (s *seat) leave(l *loop) {
	if s.prev == nil {
		return
	}
	if at := l.walk.at; at != nil && &at.seat == s {
		l.walk.at = s.next
	}
	*s.prev = s.next
	if s.next != nil {
		s.next.seat.prev = s.prev
	}
	*s = seat{}
}

// leaveSession gives up what a connection that carries no request upstream has of its session, which is over.
func (c *conn) leaveSession() {
	c.closeUpstream()
	c.sess = nil
	c.seat.leave(c.l)
}
