//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package poll

import (
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"golang.org/x/sys/unix"
)

func eventsOf(filter netpoll.IOEvent, flags netpoll.IOFlags) (e Events) {
	if filter == unix.EVFILT_WRITE {
		e = Writable
		if flags&unix.EV_EOF != 0 {
			e |= Readable // the peer reads no more; a read tells whether it was a reset
		}
	} else {
		e = Readable
		if flags&unix.EV_EOF != 0 {
			e |= Hup
		}
	}
	if flags&unix.EV_ERROR != 0 {
		e |= Failed | Readable | Writable
	}
	return e
}

// unlisten makes the watch edge-triggered, so that waiting connections no longer wake the loop: netpoll's Delete does
// nothing here, as kqueue forgets closed descriptors by itself.
func unlisten(p *netpoll.Poller, fd int) error {
	return p.AddRead(&netpoll.PollAttachment{FD: fd}, true)
}
