package relay

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"proxymap/relay/internal/kernel"
)

// ownPeer is a socket that has connected to itself: it is bound to a port on which nobody listens, and connects to that.
func ownPeer(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, sa); err != nil {
		t.Fatal(err)
	}
	return fd
}

// A socket is asked whether it has met itself where that can be, and not for a while after one that has not.
func TestMetItself(t *testing.T) {
	g := newRig(t)
	l, self := &loop{relay: g.relay, now: 1}, ownPeer(t)
	loopback, far := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1")
	s := g.relay.table.Load().mappings[0].servers[0]
	if !s.metItself(l, self, loopback) {
		t.Error("a connection with itself is taken for one with a server")
	}
	if s.metItself(l, self, far) {
		t.Error("a socket is asked that leads to another machine")
	}
	real, err := l.dialer.Dial(netip.MustParseAddrPort(g.provider.Addr().String()), netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close(real)
	g.upstream()
	if s.metItself(l, real, loopback) {
		t.Error("a connection with the server is taken for one with itself")
	}
	if s.metItself(l, self, loopback) {
		t.Error("a socket is asked where somebody has just been found to listen")
	}
	s.failed(l)
	if !s.metItself(l, self, loopback) {
		t.Error("a server that takes no connection is trusted")
	}
	s.metItself(l, real, loopback)
	l.now += int64(listenerTrust)
	if !s.metItself(l, self, loopback) {
		t.Errorf("a server is trusted longer than %v", time.Duration(listenerTrust))
	}
}

// The machine's addresses are those of its interfaces, and all that lead to itself anyway.
func TestMachineAddrs(t *testing.T) {
	var m machineAddrs
	has := func(text string) bool { return m.has(netip.MustParseAddr(text)) }
	if !has("127.0.0.1") || !has("127.9.9.9") || !has("::1") || !has("0.0.0.0") || !has("::") || !has("::ffff:127.0.0.1") || has("192.0.2.1") {
		t.Error("before the system has been asked it does not know what always leads here, or more than that")
	}
	m.known.Store(&map[netip.Addr]bool{netip.MustParseAddr("192.0.2.1"): true, netip.MustParseAddr("fe80::1"): true})
	if !has("192.0.2.1") || !has("::ffff:192.0.2.1") || !has("fe80::1%eth0") || has("192.0.2.2") {
		t.Error("it does not know the interfaces' addresses, or more than them")
	}
	if m.refresh(); has("192.0.2.1") {
		t.Error("an address that has gone is still known")
	}
}
