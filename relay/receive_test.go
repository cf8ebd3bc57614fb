package relay

import (
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// What a read comes to, on a connection whose peer sends, is silent, ends and resets.
func TestReceive(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		peer func(t *testing.T, p *net.TCPConn)
		want []receipt // of reads in turn, into a buffer of 4 bytes
	}{
		{"silence", func(*testing.T, *net.TCPConn) {}, []receipt{nothingNow, nothingNow}},
		{"fewer bytes than asked for", sends("abc"), []receipt{bytesCame, nothingNow}},
		{"more bytes than asked for", sends("abcdef"), []receipt{bytesCame, bytesCame, nothingNow}},
		{"as many bytes as asked for", sends("abcd"), []receipt{bytesCame, nothingNow, nothingNow}},
		{"FIN", func(t *testing.T, p *net.TCPConn) { mustNot(t, p.CloseWrite()) }, []receipt{peerEnded, nothingNow}},
		{"reset", func(t *testing.T, p *net.TCPConn) { mustNot(t, p.SetLinger(0)); mustNot(t, p.Close()) }, []receipt{peerReset}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			near, far := tcpPair(t)
			row.peer(t, far)
			s := socket{fd: near, readable: true}
			if row.want[0] != nothingNow {
				awaitReadable(t, near)
			}
			buf := make([]byte, 4)
			for i, want := range row.want {
				b, got := s.receive(buf)
				if got != want || (got == bytesCame) != (len(b) > 0) || got != bytesCame && b != nil {
					t.Fatalf("read %d: got %d with %q; want %d", i, got, b, want)
				}
			}
		})
	}
}

// What the poller has not reported is not asked for.
func TestReceiveAsksOnlyIfReported(t *testing.T) {
	t.Parallel()
	near, far := tcpPair(t)
	sends("abc")(t, far)
	awaitReadable(t, near)
	s := socket{fd: near}
	if b, got := s.receive(make([]byte, 4)); got != nothingNow || b != nil {
		t.Errorf("got %d with %q; want nothing", got, b)
	}
}

func sends(text string) func(*testing.T, *net.TCPConn) {
	return func(t *testing.T, p *net.TCPConn) {
		_, err := p.Write([]byte(text))
		mustNot(t, err)
	}
}

func mustNot(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tcpPair returns the two ends of a connection, the near one as a descriptor that does not block.
func tcpPair(t *testing.T) (near int, far *net.TCPConn) {
	t.Helper()
	ln, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	mustNot(t, err)
	defer func() { _ = ln.Close() }()
	far, err = net.DialTCP("tcp4", nil, ln.Addr().(*net.TCPAddr))
	mustNot(t, err)
	t.Cleanup(func() { _ = far.Close() })
	accepted, err := ln.AcceptTCP()
	mustNot(t, err)
	defer func() { _ = accepted.Close() }()
	raw, err := accepted.SyscallConn()
	mustNot(t, err)
	mustNot(t, raw.Control(func(fd uintptr) { near, err = syscall.Dup(int(fd)) }))
	mustNot(t, err)
	mustNot(t, syscall.SetNonblock(near, true))
	t.Cleanup(func() { _ = syscall.Close(near) })
	return near, far
}

// awaitReadable waits until a read of fd would not wait.
func awaitReadable(t *testing.T, fd int) {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000)
		if err == unix.EINTR {
			continue
		}
		if n != 1 {
			t.Fatalf("nothing has come in 10 s: %v", err)
		}
		return
	}
}
