//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package relay

import (
	gsocket "github.com/panjf2000/gnet/v2/pkg/socket"
	"golang.org/x/sys/unix"
)

// accept takes one connection from a listener.
func accept(fd int) (int, error) {
	for {
		n, _, err := gsocket.Accept(fd)
		if err != unix.EINTR {
			return n, err
		}
	}
}

func newSocket(family int) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM, unix.IPPROTO_TCP)
	if err != nil {
		return -1, err
	}
	unix.CloseOnExec(fd)
	return fd, unix.SetNonblock(fd, true)
}

// writeSlices writes the slices in one call; x/sys has no writev on all of these systems.
func (l *loop) writeSlices(fd int, slices [][]byte) (int, error) {
	b := l.iov[:0]
	for _, s := range slices {
		b = append(b, s...)
	}
	l.iov = b[:0]
	return write(fd, b)
}

// vectors is the loop's scratch space for writeSlices.
type vectors []byte
