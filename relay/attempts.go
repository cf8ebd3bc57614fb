package relay

import (
	"net/netip"

	"proxymap/relay/internal/race"
)

// Attempts to connect to the addresses of one server (package race). The oldest is the connection's upstream socket, and
// mostly the only one. Those that have begun since are its rivals, sockets of the connection's as well, which hold places of
// the relay's: as many as attempts are under way, but for one. So who connects to a first address that answers has nothing
// of all this.

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

// rivalOf is the rival that is watched under a generation, nil if there is none.
func (x *exchange) rivalOf(gen uint32) *socket {
	if x == nil || x.out.rivals == nil {
		return nil
	}
	for i := range x.out.race.Running() - 1 {
		if s := &x.out.rivals.list[i].socket; s.gen == gen {
			return s
		}
	}
	return nil
}

// attemptOf is the number of the attempt that s belongs to.
func (o *outbound) attemptOf(s *socket) int {
	for i := range o.race.Running() - 1 {
		if s == &o.rivals.list[i].socket {
			return i + 1
		}
	}
	return 0
}

// addrOf is the address that attempt i connects to.
func (o *outbound) addrOf(i int) netip.AddrPort {
	if i > 0 {
		return o.rivals.list[i-1].addr
	}
	return o.addr
}

// takePlace takes a place for one more attempt. It reports false if the relay has none. The first attempt needs none.
func (o *outbound) takePlace(r *Relay) bool {
	if o.race.Running() == 0 {
		return true
	}
	if int(r.rivals.Add(1)) > r.admission.budget.rivals {
		r.rivals.Add(-1)
		return false
	}
	if o.rivals == nil {
		o.rivals = &rivals{}
	}
	o.rivals.places++
	return true
}

// beginAttempt takes a socket that has begun to connect. If it cannot be watched it is closed.
func (o *outbound) beginAttempt(fd int, addr netip.AddrPort) error {
	c := o.c
	s := socket{fd: fd, flow: c.way(), host: c.host}
	if err := c.l.watch(c, &s, tokenUpstream); err != nil {
		c.l.closeLater(fd)
		return err
	}
	if n := o.race.Running(); n > 0 {
		o.rivals.list[n-1] = rival{s, addr}
	} else {
		c.upstream, o.addr = s, addr
	}
	o.race.Begins(c.l.now)
	return nil
}

// endAttempt closes attempt i. Those after it move up. It keeps its place, for another attempt takes it or settle gives it
// back.
func (o *outbound) endAttempt(i int) {
	c := o.c
	after := o.race.Running() - 1 // rivals
	o.race.Ended(i)
	closed := c.upstream.fd
	switch {
	case i > 0:
		closed = o.rivals.remove(i - 1).fd
	case after > 0:
		next := o.rivals.remove(0)
		c.upstream, o.addr = next.socket, next.addr
	default:
		c.upstream = noSocket
	}
	c.l.closeLater(closed)
}

// settle gives back the places that no attempt has any more.
func (o *outbound) settle(l *loop) {
	if o.rivals == nil {
		return
	}
	needed := max(o.race.Running()-1, 0)
	l.vacated += o.rivals.places - needed
	o.rivals.places = needed
}

// remove takes rival i out.
func (r *rivals) remove(i int) rival {
	out := r.list[i]
	copy(r.list[i:], r.list[i+1:])
	r.list[len(r.list)-1] = rival{}
	return out
}

// endRivals closes all attempts but the oldest, and gives all places back.
func (o *outbound) endRivals(l *loop) {
	if o.rivals == nil {
		return
	}
	for i := o.race.Running() - 1; i > 0; i-- {
		o.race.Ended(i)
		l.closeLater(o.rivals.list[i-1].fd)
	}
	l.vacated += o.rivals.places
	o.rivals = nil
}

// win ends the race with attempt i, whose socket is the upstream's from here on. Where it did not stand first it will.
func (o *outbound) win(i int) {
	c := o.c
	if took := c.l.now - o.race.Begun(i); len(o.known.list) > 1 {
		o.server.noteConnect(took)
	}
	for ; i > 0; i-- {
		o.endAttempt(0)
	}
	o.endRivals(c.l)
	if o.addr != o.known.list[0] {
		o.server.prefer(o.addr)
	}
}
