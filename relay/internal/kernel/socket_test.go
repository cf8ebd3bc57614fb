package kernel

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// connected is a connection over loopback: what Dial made and what Accept took, both closed at the test's end.
func connected(t *testing.T, from netip.Addr) (client, server int) {
	t.Helper()
	listener, addr, err := Listen(netip.AddrPortFrom(loopback, 0), -1)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(listener)
	if client, err = new(Dialer).Dial(addr, from); err != nil {
		t.Fatal(err)
	}
	await(t, listener, unix.POLLIN)
	if server, _, err = Accept(listener); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = Close(client); _ = Close(server) })
	await(t, client, unix.POLLOUT)
	return client, server
}

// await waits until the system says that fd is ready.
func await(t *testing.T, fd int, events int16) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, 1000)
		if n == 1 {
			return
		}
		if err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
	}
	t.Fatal("the socket is not ready within 10 s")
}

// Accept tells the peer's address: that of IPv4 also where the listener is for both versions.
func TestAcceptTellsThePeer(t *testing.T) {
	for _, row := range []struct{ on, to, from string }{
		{"127.0.0.1", "127.0.0.1", "127.0.0.2"},
		{"0.0.0.0", "127.0.0.1", "127.0.0.3"},
		{"::", "127.0.0.1", "127.0.0.4"},
		{"::1", "::1", "::1"},
		{"::", "::1", "::1"},
	} {
		listener, addr, err := Listen(netip.AddrPortFrom(netip.MustParseAddr(row.on), 0), -1)
		if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) {
			t.Logf("SKIPPED: %s: this machine has no IPv6", row.on)
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		client, err := new(Dialer).Dial(netip.AddrPortFrom(netip.MustParseAddr(row.to), addr.Port()), netip.MustParseAddr(row.from))
		if err != nil {
			t.Fatal(row, err)
		}
		await(t, listener, unix.POLLIN)
		server, from, err := Accept(listener)
		if err != nil || from != netip.MustParseAddr(row.from) {
			t.Errorf("on %s: a connection from %s has come from %v, %v", row.on, row.from, from, err)
		}
		for _, fd := range []int{listener, client, server} {
			_ = Close(fd)
		}
	}
}

// What one side writes the other reads, then nothing, then the end.
func TestReadWrite(t *testing.T) {
	client, server := connected(t, netip.Addr{})
	b := make([]byte, 10)
	if n, err := Read(server, b); n != 0 || err != ErrAgain {
		t.Fatalf("before anything came: %d, %v; want ErrAgain", n, err)
	}
	if n, err := Write(client, []byte("hello")); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	await(t, server, unix.POLLIN)
	if n, err := Read(server, b); string(b[:n]) != "hello" || err != nil {
		t.Fatalf("%q, %v", b[:n], err)
	}
	ShutdownWrite(client)
	await(t, server, unix.POLLIN)
	if n, err := Read(server, b); n != 0 || err != nil {
		t.Fatalf("at the end: %d, %v; want 0, nil", n, err)
	}
	ResetOnClose(server)
	if err := Close(server); err != nil {
		t.Fatal(err)
	}
	await(t, client, unix.POLLIN)
	if _, err := Read(client, b); err != unix.ECONNRESET {
		t.Errorf("after a reset: %v; want ECONNRESET", err)
	}
}

// A sink that takes no more says so by a short write or ErrAgain, and never blocks.
func TestWriteToFullSocket(t *testing.T) {
	client, _ := connected(t, netip.Addr{})
	b := make([]byte, 1<<20)
	for range 100 {
		if _, err := Write(client, b); err == ErrAgain {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
	t.Error("a socket took 100 MiB that nobody reads")
}

// A connection leaves from the address that is asked for, and its socket is of the right family.
func TestDialFrom(t *testing.T) {
	client, server := connected(t, loopback)
	for _, fd := range []int{client, server} {
		if got, err := LocalAddr(fd); err != nil || got.Addr() != loopback {
			t.Errorf("bound to %v, %v; want %v", got, err, loopback)
		}
	}
	fd, err := new(Dialer).Dial(netip.AddrPortFrom(loopback, 1), netip.MustParseAddr("192.0.2.1"))
	if err == nil {
		_ = Close(fd)
	}
	if err != unix.EADDRNOTAVAIL || fd != -1 {
		t.Errorf("from another machine's address: %d, %v; want EADDRNOTAVAIL", fd, err)
	}
}

// Why a connect failed is what the socket says.
func TestSocketError(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	fd, err := new(Dialer).Dial(nobody, netip.Addr{})
	if err == nil {
		defer Close(fd)
		await(t, fd, unix.POLLOUT)
		err = SocketError(fd)
	}
	if err != unix.ECONNREFUSED {
		t.Errorf("got %v; want ECONNREFUSED", err)
	}
}

func TestBindable(t *testing.T) {
	if err := Bindable(loopback); err != nil {
		t.Error(err)
	}
	if err := Bindable(netip.MustParseAddr("192.0.2.1")); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("another machine's address: %v; want EADDRNOTAVAIL", err)
	}
}

func TestListenTwice(t *testing.T) {
	fd, addr, err := Listen(netip.AddrPortFrom(loopback, 0), -1)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(fd)
	if addr.Port() == 0 {
		t.Errorf("bound to %v; want a port", addr)
	}
	if again, _, err := Listen(addr, -1); !errors.Is(err, unix.EADDRINUSE) {
		_ = Close(again)
		t.Errorf("%v; want EADDRINUSE", err)
	}
}

// A socket that connects to the port that it is bound to is its own peer, and no other is.
func TestMetItself(t *testing.T) {
	client, server := connected(t, netip.Addr{})
	for _, fd := range []int{client, server} {
		if MetItself(fd) {
			t.Error("a socket with a peer is its own")
		}
	}
	for _, addr := range []netip.Addr{loopback, netip.IPv6Loopback()} {
		fd, err := newSocket(family(netip.AddrPortFrom(addr, 0)))
		if err != nil {
			t.Fatal(err)
		}
		defer Close(fd)
		d := new(Dialer)
		if err := unix.Bind(fd, sockaddr(addr)); err != nil {
			t.Fatal(err)
		}
		bound, err := LocalAddr(fd)
		if err != nil {
			t.Fatal(err)
		}
		if MetItself(fd) {
			t.Error("a socket without a peer is its own")
		}
		if err := d.connect(fd, bound); err != nil && err != unix.EINPROGRESS {
			t.Fatal(err)
		}
		await(t, fd, unix.POLLOUT)
		if !MetItself(fd) {
			t.Errorf("a socket at %s that has connected to itself is not its own peer", bound)
		}
		if n, err := Write(fd, []byte("hello")); n != 5 || err != nil {
			t.Fatal(n, err)
		}
		await(t, fd, unix.POLLIN)
		b := make([]byte, 10)
		if n, err := Read(fd, b); string(b[:n]) != "hello" || err != nil {
			t.Errorf("got %q, %v; want what it has written", b[:n], err)
		}
	}
}

// sockaddr is any port of a local address.
func sockaddr(addr netip.Addr) unix.Sockaddr {
	if addr.Is4() {
		return &unix.SockaddrInet4{Addr: addr.As4()}
	}
	return &unix.SockaddrInet6{Addr: addr.As16()}
}
