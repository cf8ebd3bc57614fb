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
	if x == nil || x.dial.rivals == nil {
		return nil
	}
	for i := range x.dial.race.Running() - 1 {
		if s := &x.dial.rivals.list[i].socket; s.gen == gen {
			return s
		}
	}
	return nil
}

// attemptOf is the number of the attempt that s belongs to.
func (d *dialing) attemptOf(s *socket) int {
	for i := range d.race.Running() - 1 {
		if s == &d.rivals.list[i].socket {
			return i + 1
		}
	}
	return 0
}

// addrOf is the address that attempt i connects to.
func (d *dialing) addrOf(i int) netip.AddrPort {
	if i > 0 {
		return d.rivals.list[i-1].addr
	}
	return d.addr
}

// takePlace takes a place for one more attempt. It reports false if the relay has none. The first attempt needs none.
func (d *dialing) takePlace(r *Relay) bool {
	if d.race.Running() == 0 {
		return true
	}
	if int(r.rivals.Add(1)) > r.admission.budget.rivals {
		r.rivals.Add(-1)
		return false
	}
	if d.rivals == nil {
		d.rivals = &rivals{}
	}
	d.rivals.places++
	return true
}

// beginAttempt takes a socket that has begun to connect. If it cannot be watched it is closed.
func (c *conn) beginAttempt(fd int, addr netip.AddrPort) error {
	d := &c.x.dial
	s := socket{fd: fd, flow: c.way(), host: c.host}
	if err := c.l.watch(c, &s, tokenUpstream); err != nil {
		c.l.closeLater(fd)
		return err
	}
	if n := d.race.Running(); n > 0 {
		d.rivals.list[n-1] = rival{s, addr}
	} else {
		c.upstream, d.addr = s, addr
	}
	d.race.Begins(c.l.now)
	return nil
}

// endAttempt closes attempt i. Those after it move up. It keeps its place, for another attempt takes it or settle gives it
// back.
func (c *conn) endAttempt(i int) {
	d := &c.x.dial
	after := d.race.Running() - 1 // rivals
	d.race.Ended(i)
	closed := c.upstream.fd
	switch {
	case i > 0:
		closed = d.rivals.remove(i - 1).fd
	case after > 0:
		next := d.rivals.remove(0)
		c.upstream, d.addr = next.socket, next.addr
	default:
		c.upstream = noSocket
	}
	c.l.closeLater(closed)
}

// settle gives back the places that no attempt has any more.
func (d *dialing) settle(l *loop) {
	if d.rivals == nil {
		return
	}
	needed := max(d.race.Running()-1, 0)
	l.vacated += d.rivals.places - needed
	d.rivals.places = needed
}

// remove takes rival i out.
func (r *rivals) remove(i int) rival {
	out := r.list[i]
	copy(r.list[i:], r.list[i+1:])
	r.list[len(r.list)-1] = rival{}
	return out
}

// endRivals closes all attempts but the oldest, and gives all places back.
func (d *dialing) endRivals(l *loop) {
	if d.rivals == nil {
		return
	}
	for i := d.race.Running() - 1; i > 0; i-- {
		d.race.Ended(i)
		l.closeLater(d.rivals.list[i-1].fd)
	}
	l.vacated += d.rivals.places
	d.rivals = nil
}

// win ends the race with attempt i, whose socket is the upstream's from here on. Where it did not stand first it will.
func (c *conn) win(i int) {
	d := &c.x.dial
	if took := c.l.now - d.race.Begun(i); len(d.known.list) > 1 {
		d.server.noteConnect(took)
	}
	for ; i > 0; i-- {
		c.endAttempt(0)
	}
	d.endRivals(c.l)
	if d.addr != d.known.list[0] {
		d.server.prefer(d.addr)
	}
}
