package relay

import (
	"fmt"
	"net/netip"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"proxymap/relay/allow"
	"proxymap/relay/internal/kernel"
	"proxymap/relay/internal/poll"
	"proxymap/session"
)

// A port is one local port: its listener, and the session that is behind it.
type port struct {
	current atomic.Pointer[mapping]
	coming  atomic.Pointer[mapping] // current, or the one that is about to be
	slot    *session.Slot
	rosters rosters // of the slot
	addr    netip.AddrPort
	fd      int    // -1: others have the port; its loop's, from when there is one
	loop    *loop  // that listens
	index   uint32 // in its listeners

	acceptFaults int // in a row

	usedAt  atomic.Int64 // the loops' time of the last traffic, where IdleLifetime asks for it
	signals signals
	marks   marks // of rotations
	wanted  int   // where in the next errand its ended sessions are, from 1 on; 0: nowhere. errands.mu is its lock

	authWarned atomic.Int64 // wall time of the last warning about the provider's 407

	missing atomic.Bool  // others have the port
	open    atomic.Int32 // connections
	tallies atomic.Pointer[tally]
	answers atomic.Pointer[answers]
	odd     atomic.Pointer[oddLog]
}

// listen gives a port to the loop.
func (l *loop) listen(p *port) error {
	p.loop, p.index = l, uint32(len(l.listeners))
	l.listeners = append(l.listeners, p)
	if p.fd < 0 {
		return nil
	}
	return l.watchPort(p)
}

// listenLate has the loop listen on a port of its own that was missing until now. fd is the loop's from here on.
func (l *loop) listenLate(p *port, fd int) error {
	if l.draining {
		l.closeLater(fd)
		return errEnding
	}
	p.fd = fd
	if err := l.watchPort(p); err != nil {
		p.fd = -1
		l.closeLater(fd)
		return fmt.Errorf("watch port %d of %s: %w", p.addr.Port(), p.addr.Addr(), err)
	}
	p.missing.Store(false)
	return nil
}

func (l *loop) watchPort(p *port) error {
	l.lastGen++
	return l.poll.AddListener(p.fd, poll.NewToken(l.lastGen, p.index|tokenListener))
}

// accept takes one connection of a port, if there is room for it: the watch is level-triggered, so the next one is the
// next event.
func (l *loop) accept(p *port) {
	if l.draining {
		return
	}
	place := l.admit()
	if place == noPlace {
		l.pauseListening(p)
		return
	}
	fd, from, err := l.relay.accept(p.fd)
	if err == nil {
		p.acceptFaults = 0
		if a := (arrival{fd, from, place}); p.mayConnect(l, a) {
			l.relay.place(l, p, a)
		}
		return
	}
	l.leave(place)
	switch {
	case err == unix.EAGAIN: // the client has left
	case exhausted(err):
		l.outOfDescriptors()
		l.pauseListening(p)
	default:
		l.acceptFailed(p, err)
	}
}

// admit takes a place for a connection that is about to be accepted. It is to be given back by leave.
func (l *loop) admit() place {
	a := &l.relay.admission
	if l.now >= a.exhaustedUntil.Load() {
		if int(a.served.Add(1)) <= a.budget.Connections {
			return served
		}
		a.served.Add(-1)
	}
	l.warnFull()
	if l.reserveLeft == 0 {
		return noPlace
	}
	if int(a.reserved.Add(1)) > a.budget.Reserve {
		a.reserved.Add(-1)
		if !l.takePlace() {
			return noPlace
		}
		a.reserved.Add(1)
	}
	l.reserveLeft--
	return reserved
}

// mayConnect reports whether somebody who has come to the port is let in, and turns away who is not.
func (p *port) mayConnect(l *loop, a arrival) bool {
	if p.mapping().allowed.Has(a.from) {
		return true
	}
	turnAway(l, byAddress, allow.Connection{From: a.from, To: p.addr}) // first, so that who sees the end finds it counted
	l.leave(a.place)
	_ = kernel.Close(a.fd) // no poller knows it yet
	return false
}

// place gives a new connection, which l has accepted, to a loop.
func (r *Relay) place(l *loop, p *port, a arrival) {
	to := l
	switch {
	case len(r.loops) == 1, a.place == reserved: // it is worth no hand-over
	case r.spread:
		to = r.loops[int(r.placed.Add(1))%len(r.loops)]
	case l.load.Load() >= busyLoad:
		if o := r.idlest(l); o.lighter(l) {
			to = o
		}
	}
	if to == l {
		l.adopt(p, a)
		return
	}
	to.send(parcel{port: p, client: a})
}

// acceptFailed is called when an accept has failed, and not because we are out of anything. Mostly it is about that one
// connection: Linux passes on what the network says of it (accept(2), "Error handling"), and the next one may be good. But
// where a security module refuses, the connection stays in the backlog and would wake the loop at once, for ever. So a port
// on which nothing else comes rests, and only that port.
func (l *loop) acceptFailed(p *port, err error) {
	if p.acceptFaults++; p.acceptFaults < maxAcceptFaults {
		return
	}
	p.acceptFaults = 0
	if l.relay.admission.acceptWarned.due(l.now) {
		l.relay.log.Warn("a port cannot accept connections; the system or a firewall refuses", "port", p.addr, "err", err)
	}
	l.pauseListening(p)
}

// pauseListening rests a port that has clients and no room for them: else it would wake the loop at once, again and
// again.
func (l *loop) pauseListening(p *port) {
	if err := l.poll.Remove(p.fd); err != nil {
		l.relay.log.Error("cannot pause a port", "port", p.addr, "err", err)
		return
	}
	l.paused = append(l.paused, p)
	if l.resumeAt == 0 {
		l.resumeAt = l.now + int64(acceptPause)
	}
}

// resumeListening has ports accept again, the longest at rest first, and no more than there is room: each of them has a
// client, mostly, and to wake thousands for nothing costs.
func (l *loop) resumeListening() {
	a := &l.relay.admission
	if l.now >= l.refillAt {
		l.refillAt = l.now + int64(acceptPause)
		l.reserveLeft = reserveRate
	}
	l.resumeAt = 0
	n := l.reserveLeft
	if a.hasRoom(l.now) {
		n += a.budget.Connections - int(a.served.Load())
	}
	for ; n > 0 && len(l.paused) > 0 && !l.draining; n-- {
		if err := l.watchPort(l.paused[0]); err != nil {
			l.relay.log.Error("cannot resume a port yet", "port", l.paused[0].addr, "err", err)
			break
		}
		l.paused = l.paused[1:]
	}
	if len(l.paused) > 0 {
		l.resumeAt = l.now + int64(acceptPause)
	}
}

func (l *loop) closeListeners() {
	for _, p := range l.listeners {
		if p.fd >= 0 {
			l.closeLater(p.fd)
		}
	}
	l.paused, l.resumeAt = nil, 0
}
