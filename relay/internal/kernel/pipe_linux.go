package kernel

import (
	"io"
	"unsafe"

	"golang.org/x/sys/unix"
)

// OpenPipe opens a pipe of size bytes. It reports false if the kernel has none to give that holds least bytes.
func OpenPipe(size, least int) (Pipe, bool) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return Pipe{}, false
	}
	p := Pipe{r: fds[0], w: fds[1]}
	got, err := unix.FcntlInt(uintptr(p.w), unix.F_SETPIPE_SZ, size)
	if err != nil {
		// A user without privileges may have so many pages of pipes in all. What this pipe has got already may do.
		got, err = unix.FcntlInt(uintptr(p.w), unix.F_GETPIPE_SZ, 0)
	}
	if err != nil || got < least {
		p.Close()
		return Pipe{}, false
	}
	p.Size = got
	return p, true
}

// Close closes both ends. What the pipe holds is lost.
func (p *Pipe) Close() {
	_ = Close(p.r)
	_ = Close(p.w)
}

// Fill moves at most most bytes from a socket into the pipe, which is empty. It returns io.EOF at the end of the socket,
// ErrAgain if there is nothing now.
//
// What it returns says nothing about there being more: a pipe is full when its slots are, whatever is in them. So reading
// goes on until there is nothing.
func (p *Pipe) Fill(fd int, most int64) (int, error) {
	n, err := splice(fd, p.w, int(min(most, int64(p.Size))))
	if err == nil && n == 0 {
		err = io.EOF
	}
	p.Held += n
	return n, err
}

// Drain moves bytes from the pipe to a socket.
func (p *Pipe) Drain(fd int) (int, error) {
	n, err := splice(p.r, fd, p.Held)
	p.Held -= n
	return n, err
}

// Read reads what is in the pipe.
func (p *Pipe) Read(b []byte) (int, error) {
	n, err := call(unix.SYS_READ, p.r, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0)
	p.Held -= n
	return n, err
}

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
