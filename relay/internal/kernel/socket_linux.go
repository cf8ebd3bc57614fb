package kernel

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls that a loop makes for each message and each connection do not block, so they are made without telling the
// scheduler, which costs 8 % of a request.

// call makes a system call. EINTR is none of the caller's business. What its arguments point to is in the heap, and so
// stays where it is, by the directive.
//
//go:uintptrescapes
func call(trap uintptr, fd int, a, b, c uintptr) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(trap, uintptr(fd), a, b, c, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// Read reads from a socket what there is; 0 bytes are its end. It is recv(2), as Write is send(2): they leave out what
// files need, 2 % of a request.
func Read(fd int, b []byte) (int, error) {
	return call(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0)
}

// Write writes to a socket what it takes now.
func Write(fd int, b []byte) (int, error) {
	return call(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL)
}

func shutdown(fd, how int) error {
	_, err := call(unix.SYS_SHUTDOWN, fd, uintptr(how), 0, 0)
	return err
}

// Close closes fd, once: Linux has closed it also when a signal interrupts the call.
func Close(fd int) error {
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// Accept takes one connection from a listener, and tells its peer's address: without its zone, and that of IPv4 where it is
// mapped into IPv6. The address comes with the one call.
func Accept(fd int) (accepted int, from netip.Addr, err error) {
	var sa unix.RawSockaddrInet6 // an IPv4 one fills a part of it
	for {
		size := uint32(unsafe.Sizeof(sa))
		n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)),
			unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			return int(n), peerOf(&sa), nil
		case unix.EINTR:
		default:
			return -1, from, errno
		}
	}
}

func peerOf(sa *unix.RawSockaddrInet6) netip.Addr {
	if sa.Family == unix.AF_INET {
		return netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(sa)).Addr)
	}
	return netip.AddrFrom16(sa.Addr).Unmap()
}

func newSocket(family int) (int, error) {
	fd, _, errno := unix.RawSyscall(unix.SYS_SOCKET, uintptr(family), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// prepareDial has small messages not wait for the acknowledgement of the last one, and the acknowledgement that ends the
// handshake wait for the first bytes, which follow at once: a segment less for each connection (tcp(7), TCP_QUICKACK).
// Neither can fail on a socket of ours.
func prepareDial(fd int) {
	setOption(fd, unix.TCP_NODELAY, 1)
	setOption(fd, unix.TCP_QUICKACK, 0)
}

// MetItself reports whether a connected socket is its own peer.
func MetItself(fd int) bool {
	var local, peer unix.RawSockaddrInet6 // an IPv4 one fills a part of it, and the rest stays 0
	return nameOf(unix.SYS_GETSOCKNAME, fd, &local) && nameOf(unix.SYS_GETPEERNAME, fd, &peer) && local == peer
}

// nameOf asks for one of the two addresses of a socket.
func nameOf(trap uintptr, fd int, to *unix.RawSockaddrInet6) bool {
	size := uint32(unsafe.Sizeof(*to))
	_, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(&size)))
	return errno == 0
}

func setOption(fd, name int, value int32) {
	_, _, _ = unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, uintptr(name),
		uintptr(unsafe.Pointer(&value)), unsafe.Sizeof(value), 0)
}

// A Dialer connects sockets, one after the other. What it holds is scratch space for the addresses of connect(2) and
// bind(2), so that they need none of the heap's.
type Dialer struct {
	v4 unix.RawSockaddrInet4
	v6 unix.RawSockaddrInet6
}

// set makes addr what the result points to.
func (d *Dialer) set(addr netip.AddrPort) (p unsafe.Pointer, size uintptr) {
	var port uint16
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&port))[:], addr.Port()) // network order
	if family(addr) == unix.AF_INET {
		d.v4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: addr.Addr().Unmap().As4()}
		return unsafe.Pointer(&d.v4), unsafe.Sizeof(d.v4)
	}
	d.v6 = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: addr.Addr().As16()}
	return unsafe.Pointer(&d.v6), unsafe.Sizeof(d.v6)
}

// connect begins to connect fd, a socket of the address's family, to addr.
func (d *Dialer) connect(fd int, addr netip.AddrPort) error {
	p, size := d.set(addr)
	_, err := call(unix.SYS_CONNECT, fd, uintptr(p), size, 0)
	return err
}

// bind binds fd to a local address. Its port is chosen when it connects, so that one port can serve for several
// destinations (ip(7), IP_BIND_ADDRESS_NO_PORT). Kernels before 4.2 choose it now.
func (d *Dialer) bind(fd int, from netip.Addr) error {
	on := int32(1)
	_, _, _ = unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT,
		uintptr(unsafe.Pointer(&on)), unsafe.Sizeof(on), 0)
	p, size := d.set(netip.AddrPortFrom(from, 0))
	_, err := call(unix.SYS_BIND, fd, uintptr(p), size, 0)
	return err
}
