package relay

import (
	"net"
	"net/netip"

	gsocket "github.com/panjf2000/gnet/v2/pkg/socket"
	"golang.org/x/sys/unix"
)

// Non-blocking calls on sockets. errAgain is the one error that is not a fault: later, when the poller says so.
const errAgain = unix.EAGAIN

// shutdownWrite sends a FIN. It fails only where the connection is gone, which the next read will tell.
func shutdownWrite(fd int) { _ = shutdown(fd, unix.SHUT_WR) }

// resetOnClose makes the coming close a reset, which passes on that an exchange or tunnel broke off, and leaves no
// TIME_WAIT behind. It cannot fail on a socket of ours.
func resetOnClose(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// socketError is why a connect failed.
func socketError(fd int) error {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if errno == 0 {
		return nil
	}
	return unix.Errno(errno)
}

// connectTo begins to connect a new socket to addr, from a port of the local address from if that is valid. It is the
// caller's to close. The error is about starting only; EADDRNOTAVAIL says that there is no port left.
func (l *loop) connectTo(addr netip.AddrPort, from netip.Addr) (fd int, err error) {
	fd, err = newSocket(family(addr))
	if err != nil {
		return -1, err
	}
	prepareDial(fd)
	if from.IsValid() {
		err = l.peer.bind(fd, from)
	}
	if err == unix.EADDRINUSE { // no port is left, where bind has to choose one
		err = unix.EADDRNOTAVAIL
	}
	if err == nil {
		err = l.peer.connect(fd, addr)
	}
	if err != nil && err != unix.EINPROGRESS {
		_ = closeDescriptor(fd)
		return -1, err
	}
	return fd, nil
}

func family(addr netip.AddrPort) int {
	if addr.Addr().Is4() || addr.Addr().Is4In6() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// listenOn opens a listener whose connections inherit TCP_NODELAY.
func listenOn(addr netip.AddrPort) (fd int, bound netip.AddrPort, err error) {
	fd, _, err = gsocket.TCPSocket("tcp", addr.String(), true, []gsocket.Option[int]{
		{SetSockOpt: gsocket.SetReuseAddr, Opt: 1},
		{SetSockOpt: gsocket.SetNoDelay, Opt: 1},
	}, nil)
	if err != nil {
		return -1, bound, err
	}
	bound = addr
	if addr.Port() == 0 {
		bound, err = localAddr(fd)
	}
	return fd, bound, err
}

// bindable reports why no socket can be bound to a local address.
func bindable(addr netip.Addr) error {
	fd, err := newSocket(family(netip.AddrPortFrom(addr, 0)))
	if err != nil {
		return err
	}
	defer closeDescriptor(fd)
	return new(sockaddr).bind(fd, addr)
}

func localAddr(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return gsocket.SockaddrToTCPOrUnixAddr(sa).(*net.TCPAddr).AddrPort(), nil
}
