package kernel

import (
	"net"
	"net/netip"
	"time"

	gsocket "github.com/panjf2000/gnet/v2/pkg/socket"
	"golang.org/x/sys/unix"
)

// ErrAgain says that there is nothing to read or no room to write now: later, when the poller says so.
const ErrAgain = unix.EAGAIN

// ShutdownWrite sends a FIN. It fails only where the connection is gone, which the next read will tell.
func ShutdownWrite(fd int) { _ = shutdown(fd, unix.SHUT_WR) }

// ResetOnClose makes the coming close a reset, which passes on that an exchange or tunnel broke off, and leaves no
// TIME_WAIT behind. It cannot fail on a socket of ours.
func ResetOnClose(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// SocketError is why a connect failed.
func SocketError(fd int) error {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if errno == 0 {
		return nil
	}
	return unix.Errno(errno)
}

// Dial begins to connect a new socket to addr, from a port of the local address from if that is valid. The socket is the
// caller's to close. The error is about starting only; EADDRNOTAVAIL says that there is no port left.
func (d *Dialer) Dial(addr netip.AddrPort, from netip.Addr) (fd int, err error) {
	fd, err = newSocket(family(addr))
	if err != nil {
		return -1, err
	}
	prepareDial(fd)
	if from.IsValid() {
		err = d.bind(fd, from)
	}
	if err == unix.EADDRINUSE { // no port is left, where bind has to choose one
		err = unix.EADDRNOTAVAIL
	}
	if err == nil {
		err = d.connect(fd, addr)
	}
	if err != nil && err != unix.EINPROGRESS {
		_ = Close(fd)
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

const (
	keepAliveProbes = 4  // without an answer, and the connection is lost
	keepAlivePause  = 15 // seconds between two of them
)

// KeepAlive has the socket ask its peer for a sign of life when nothing has come from it for that long, in whole seconds,
// rounded up, 32,767 at most. A connection whose peer gives none for a minute is lost then. It cannot fail on a socket of
// ours; on OpenBSD, where sockets have no times of their own, it does nothing.
func KeepAlive(fd int, idle time.Duration) {
	seconds := int((idle + time.Second - 1) / time.Second)
	_ = gsocket.SetKeepAlive(fd, true, seconds, keepAlivePause, keepAliveProbes)
}

// Listen opens a listener at addr whose connections inherit TCP_NODELAY, and KeepAlive unless its time is 0 or less. At ::
// it takes connections over IPv4, too, where the system has sockets for both.
func Listen(addr netip.AddrPort, keepAlive time.Duration) (fd int, bound netip.AddrPort, err error) {
	fd, _, err = gsocket.TCPSocket("tcp", addr.String(), true, []gsocket.Option[int]{
		{SetSockOpt: gsocket.SetReuseAddr, Opt: 1},
		{SetSockOpt: gsocket.SetNoDelay, Opt: 1},
		{SetSockOpt: func(fd, _ int) error {
			if keepAlive > 0 {
				KeepAlive(fd, keepAlive)
			}
			if addr.Addr() == netip.IPv6Unspecified() {
				_ = gsocket.SetIPv6Only(fd, 0) // OpenBSD has none for both
			}
			return nil
		}},
	}, nil)
	if err != nil {
		return -1, bound, err
	}
	bound = addr
	if addr.Port() == 0 {
		bound, err = LocalAddr(fd)
	}
	return fd, bound, err
}

// Bindable reports why no socket can be bound to a local address.
func Bindable(addr netip.Addr) error {
	fd, err := newSocket(family(netip.AddrPortFrom(addr, 0)))
	if err != nil {
		return err
	}
	defer Close(fd)
	return new(Dialer).bind(fd, addr)
}

// LocalAddr is the address that a socket is bound to.
func LocalAddr(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return addrOf(sa), nil
}

// addrOf is the address that the system gives as sa.
func addrOf(sa unix.Sockaddr) netip.AddrPort {
	return gsocket.SockaddrToTCPOrUnixAddr(sa).(*net.TCPAddr).AddrPort()
}
