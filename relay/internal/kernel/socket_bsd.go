//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package kernel

import (
	"net/netip"

	gsocket "github.com/panjf2000/gnet/v2/pkg/socket"
	"golang.org/x/sys/unix"
)

// Read reads from a socket what there is; 0 bytes are its end.
func Read(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// Write writes to a socket what it takes now.
func Write(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Write(fd, b)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

func shutdown(fd, how int) error { return unix.Shutdown(fd, how) }

// Close closes fd, once.
func Close(fd int) error { return unix.Close(fd) }

// prepareDial has small messages not wait for the acknowledgement of the last one. It cannot fail on a socket of ours.
func prepareDial(fd int) { _ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) }

// MetItself reports whether a connected socket is its own peer.
func MetItself(fd int) bool {
	local, err := unix.Getsockname(fd)
	peer, err2 := unix.Getpeername(fd)
	return err == nil && err2 == nil && addrOf(local) == addrOf(peer)
}

// A Dialer connects sockets, one after the other. What it holds is scratch space for the addresses of connect(2) and
// bind(2), so that they need none of the heap's.
type Dialer struct {
	v4 unix.SockaddrInet4
	v6 unix.SockaddrInet6
}

func (d *Dialer) set(addr netip.AddrPort) unix.Sockaddr {
	if family(addr) == unix.AF_INET {
		d.v4.Port, d.v4.Addr = int(addr.Port()), addr.Addr().Unmap().As4()
		return &d.v4
	}
	d.v6.Port, d.v6.Addr = int(addr.Port()), addr.Addr().As16()
	return &d.v6
}

// connect begins to connect fd, a socket of the address's family, to addr.
func (d *Dialer) connect(fd int, addr netip.AddrPort) error {
	for {
		if err := unix.Connect(fd, d.set(addr)); err != unix.EINTR {
			return err
		}
	}
}

// bind binds fd to a local address, and a port of it.
func (d *Dialer) bind(fd int, from netip.Addr) error {
	return unix.Bind(fd, d.set(netip.AddrPortFrom(from, 0)))
}

// Accept takes one connection from a listener, and tells its peer's address: without its zone, and that of IPv4 where it is
// mapped into IPv6.
func Accept(fd int) (accepted int, from netip.Addr, err error) {
	for {
		n, sa, err := gsocket.Accept(fd)
		switch err {
		case nil:
			return n, addrOf(sa).Addr().Unmap().WithZone(""), nil
		case unix.EINTR:
		default:
			return n, from, err
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
