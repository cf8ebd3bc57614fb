package relay

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"proxymap/session"
)

// acceptPause is how long a port rests when its loop has run out of descriptors. The backlog holds what comes.
const acceptPause = 100 * time.Millisecond

// A port is one local port: its listener, and the session that is behind it.
type port struct {
	mapping *mapping
	slot    *session.Slot
	addr    netip.AddrPort
	fd      int
	index   uint32 // in its loop's listeners

	authWarned atomic.Int64 // wall time of the last warning about the provider's 407
}

// openPort binds addr.
func openPort(m *mapping, addr netip.AddrPort) (*port, error) {
	fd, bound, err := listenOn(addr)
	if err != nil {
		return nil, fmt.Errorf("listen on port %d of %s: %w", addr.Port(), addr.Addr(), err)
	}
	return &port{mapping: m, slot: session.NewSlot(m.Plan), addr: bound, fd: fd}, nil
}

// listen gives a port to the loop.
func (l *loop) listen(p *port) error {
	p.index = uint32(len(l.listeners))
	l.listeners = append(l.listeners, p)
	return l.watchPort(p)
}

func (l *loop) watchPort(p *port) error {
	l.lastGen++
	return l.poll.listen(p.fd, token(l.lastGen, p.index|tokenListener))
}

// accept takes one connection of a port: the watch is level-triggered, so the next one is the next event.
func (l *loop) accept(p *port) {
	if l.draining {
		return
	}
	fd, err := accept(p.fd)
	switch err {
	case nil:
		l.relay.place(l, p, fd)
	case unix.EAGAIN, unix.ECONNABORTED:
		// Somebody else took it, or the client has left.
	default:
		l.pauseListening(p, err)
	}
}

// pauseListening rests a port that cannot accept: out of descriptors or memory. Else it would wake the loop at once,
// again and again.
func (l *loop) pauseListening(p *port, err error) {
	if e := l.poll.remove(p.fd); e != nil {
		l.relay.log.Error("cannot pause a port", "port", p.addr, "err", e)
		return
	}
	if l.pauseWarned == 0 || l.now-l.pauseWarned > int64(time.Minute) {
		l.pauseWarned = l.now
		l.relay.log.Warn("accepting pauses; raise the limit of open files if this recurs", "port", p.addr, "err", err)
	}
	l.paused = append(l.paused, p)
	l.resumeAt = l.now + int64(acceptPause)
}

func (l *loop) resumeListening() {
	l.resumeAt = 0
	if l.draining {
		return
	}
	ports := l.paused
	l.paused = nil
	for _, p := range ports {
		if err := l.watchPort(p); err != nil {
			l.paused = append(l.paused, p)
			l.resumeAt = l.now + int64(acceptPause)
		}
	}
}

func (l *loop) closeListeners() {
	for _, p := range l.listeners {
		l.closeLater(p.fd)
	}
	l.paused = nil
}
