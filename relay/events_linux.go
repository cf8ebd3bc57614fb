package relay

import "golang.org/x/sys/unix"

// epollEvents reads an epoll event's flags.
func epollEvents(ev uint32) (e events) {
	if ev&unix.EPOLLIN != 0 {
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
