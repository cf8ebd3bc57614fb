package poll

import "golang.org/x/sys/unix"

// epollEvents reads an epoll event's flags.
func epollEvents(ev uint32) (e Events) {
	if ev&unix.EPOLLIN != 0 {
		e |= Readable
	}
	if ev&unix.EPOLLOUT != 0 {
		e |= Writable
	}
	if ev&unix.EPOLLRDHUP != 0 {
		e |= Hup | Readable
	}
	// EPOLLHUP alone: both directions have been shut down, ours by us. There is an end to be read.
	if ev&unix.EPOLLHUP != 0 {
		e |= Hup | Readable | Writable
	}
	if ev&unix.EPOLLERR != 0 {
		e |= Failed | Readable | Writable
	}
	return e
}
