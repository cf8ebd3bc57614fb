package relay

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// accept takes one connection from a listener. It does not ask for the peer's address, which nothing here needs.
func accept(fd int) (int, error) {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return -1, errno
		}
	}
}

func newSocket(family int) (int, error) {
	return unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
}

// writeSlices is writev(2): one call for a head with our field line in it and the content behind it.
func (l *loop) writeSlices(fd int, slices [][]byte) (int, error) {
	iov := l.iov[:0]
	for _, s := range slices {
		if len(s) > 0 {
			iov = append(iov, unix.Iovec{Base: &s[0], Len: uint64(len(s))})
		}
	}
	defer clear(iov)
	for {
		n, _, errno := unix.Syscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// vectors is the loop's scratch space for writeSlices.
type vectors [maxSlices]unix.Iovec
