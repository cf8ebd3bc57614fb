package relay

import (
	"net/netip"

	"proxymap/relay/internal/race"
)

// Attempts to connect to the addresses of one server (package race). The oldest is the connection's upstream socket, and
// mostly the only one. Those that have begun since are its rivals, sockets of the connection's as well, which hold places of
// the relay's: as many as attempts are under way, but for one. So who connects to a first address that answers has nothing
// of all this.

// attempts are those of one connection that are under way, by their order: 0 is the oldest.
type attempts struct {
	race   race.Race
	addr   netip.AddrPort // that the oldest connects to
	rivals *rivals        // the others; nil: there have been none
}

// rivals are a connection's attempts beside the oldest, the older ones first.
type rivals struct {
	list   [race.Most - 1]rival
	places int // that they hold
}

// A rival is a socket that is being connected. Its watch is that of an upstream socket.
type rival struct {
	socket
	addr netip.AddrPort
}

// remove takes rival i out.
func (r *rivals) remove(i int) rival {
	out := r.list[i]
	copy(r.list[i:], r.list[i+1:])
	r.list[len(r.list)-1] = rival{}
	return out
}

// rivalOf is the rival that is watched under a generation, nil if there is none.
func (x *exchange) rivalOf(gen uint32) *socket {
	if x == nil {
		return nil
	}
	a := &x.out.attempts
	for i := range a.race.Running() - 1 {
		if s := &a.rivals.list[i].socket; s.gen == gen {
			return s
		}
	}
	return nil
}

// of is the number of the attempt that s belongs to.
func (a *attempts) of(s *socket) int {
	for i := range a.race.Running() - 1 {
		if s == &a.rivals.list[i].socket {
			return i + 1
		}
	}
	return 0
}

// addrOf is the address that attempt i connects to.
func (a *attempts) addrOf(i int) netip.AddrPort {
	if i > 0 {
		return a.rivals.list[i-1].addr
	}
	return a.addr
}

// due is what is to be done now. left says that there are addresses that have not been tried. To begin with one of them a
// place is taken, where that is needed.
func (a *attempts) due(l *loop, left bool) race.Move {
	move := a.race.Due(l.now, left)
	if move == race.Begin && !a.takePlace(l.relay) {
		return a.race.Crowded(l.now)
	}
	return move
}

// takePlace takes a place for one more attempt. It reports false if the relay has none. The first attempt needs none.
func (a *attempts) takePlace(r *Relay) bool {
	if a.race.Running() == 0 {
		return true
	}
	if int(r.rivals.Add(1)) > r.admission.budget.rivals {
		r.rivals.Add(-1)
		return false
	}
	if a.rivals == nil {
		a.rivals = &rivals{}
	}
	a.rivals.places++
	return true
}

// giveBack gives the places back that no attempt has any more.
func (a *attempts) giveBack(l *loop) {
	if a.rivals == nil {
		return
	}
	needed := max(a.race.Running()-1, 0)
	l.vacated += a.rivals.places - needed
	a.rivals.places = needed
}

// endRivals closes all attempts but the oldest, and gives all places back.
func (a *attempts) endRivals(l *loop) {
	if a.rivals == nil {
		return
	}
	for i := a.race.Running() - 1; i > 0; i-- {
		a.race.Ended(i)
		l.closeLater(a.rivals.list[i-1].fd)
	}
	l.vacated += a.rivals.places
	a.rivals = nil
}
