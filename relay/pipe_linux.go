package relay

import (
	"io"
	"unsafe"

	"golang.org/x/sys/unix"
)

// openPipe opens a pipe that is worth splicing through, nil if the kernel has none to give.
func openPipe() *pipe {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil
	}
	p := &pipe{r: fds[0], w: fds[1]}
	size, err := unix.FcntlInt(uintptr(p.w), unix.F_SETPIPE_SZ, pipeSize)
	if err != nil {
		// A user without privileges may have so many pages of pipes in all. What this pipe has got already may do.
		size, err = unix.FcntlInt(uintptr(p.w), unix.F_GETPIPE_SZ, 0)
	}
	if err != nil || size < minPipe {
		closePipe(p)
		return nil
	}
	p.size = size
	return p
}

func closePipe(p *pipe) {
	_ = closeDescriptor(p.r)
	_ = closeDescriptor(p.w)
}

// splice is read, into a pipe that is empty and at most most bytes.
//
// It says nothing about there being more: a pipe is full when its slots are, whatever is in them. So reading goes on
// until there is nothing.
func (s *socket) splice(p *pipe, most int64) (int, error) {
	n, err := splice(s.fd, p.w, int(min(most, int64(p.size))))
	switch {
	case err != nil:
		if err == errAgain {
			s.readable = false
		}
		return 0, err
	case n == 0:
		s.readable = false
		return 0, io.EOF
	}
	p.held += n
	s.countRead(n)
	return n, nil
}

// read reads what is in the pipe.
func (p *pipe) read(b []byte) (int, error) {
	return call(unix.SYS_READ, p.r, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0)
}

// out moves bytes from the pipe to a socket.
func (p *pipe) out(fd int) (int, error) { return splice(p.r, fd, p.held) }

func splice(from, to, most int) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(most), unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
