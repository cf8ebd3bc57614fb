//go:build linux && netpoll

package relay

import (
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"golang.org/x/sys/unix"
)

func eventsOf(ev netpoll.IOEvent, _ netpoll.IOFlags) (e events) {
	if ev&(unix.EPOLLIN|unix.EPOLLPRI) != 0 {
		e |= evRead
	}
	if ev&unix.EPOLLOUT != 0 {
		e |= evWrite
	}
	if ev&unix.EPOLLRDHUP != 0 {
		e |= evHup | evRead
	}
	// EPOLLHUP alone: both directions have been shut down, ours by us. There is an end to be read.
	if ev&unix.EPOLLHUP != 0 {
		e |= evHup | evRead | evWrite
	}
	if ev&unix.EPOLLERR != 0 {
		e |= evError | evRead | evWrite
	}
	return e
}

func unlisten(p *netpoll.Poller, fd int) error { return p.Delete(fd) }
