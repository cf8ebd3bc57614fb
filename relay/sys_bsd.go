//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package relay

import (
	"net/netip"

	gsocket "github.com/panjf2000/gnet/v2/pkg/socket"
	"golang.org/x/sys/unix"
)

func read(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

func write(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Write(fd, b)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

func shutdown(fd, how int) error { return unix.Shutdown(fd, how) }

func closeDescriptor(fd int) error { return unix.Close(fd) }

// prepareDial has small messages not wait for the acknowledgement of the last one. It cannot fail on a socket of ours.
func prepareDial(fd int) { _ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) }

// A sockaddr is a loop's scratch space for the addresses of connect(2) and bind(2).
type sockaddr struct {
	v4 unix.SockaddrInet4
	v6 unix.SockaddrInet6
}

func (a *sockaddr) set(addr netip.AddrPort) unix.Sockaddr {
	if family(addr) == unix.AF_INET {
		a.v4.Port, a.v4.Addr = int(addr.Port()), addr.Addr().Unmap().As4()
		return &a.v4
	}
	a.v6.Port, a.v6.Addr = int(addr.Port()), addr.Addr().As16()
	return &a.v6
}

// connect begins to connect fd, a socket of the address's family, to addr.
func (a *sockaddr) connect(fd int, addr netip.AddrPort) error {
	for {
		if err := unix.Connect(fd, a.set(addr)); err != unix.EINTR {
			return err
		}
	}
}

// bind binds fd to a local address, and a port of it.
func (a *sockaddr) bind(fd int, from netip.Addr) error {
	return unix.Bind(fd, a.set(netip.AddrPortFrom(from, 0)))
}

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
