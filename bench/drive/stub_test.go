//go:build linux

package drive

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Clients of HTTP/1.0 are told that the connection persists, and heads may come in any pieces.
func TestStub(t *testing.T) {
	s, err := StartStub(address(), 2, 1000)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conn, err := net.Dial("tcp", address().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(conn)
	request := []byte("GET http://plain.example/ HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
	for _, size := range []int{len(request), 1, 7} {
		for b := range slices.Chunk(request, size) {
			if _, err := conn.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("pieces of %d: %v", size, err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		if res.StatusCode != 200 || n != 1000 || err != nil || res.Header.Get("Connection") != "keep-alive" {
			t.Errorf("pieces of %d: %s, %d bytes, %v, %v", size, res.Status, n, err, res.Header)
		}
	}
}

// A head that comes byte by byte is one request, and none before its last byte.
func TestHeadInPieces(t *testing.T) {
	s := Scenario{Kind: Plain, Provider: address()}.withDefaults()
	w, err := newWorker(&Scenario{Kind: Plain, Provider: address(), Threads: 1, Response: 1}, newMessages(&s), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.closeAll()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	e := w.newEnd(fds[0])
	e.provider, e.state, e.writable = true, stateHead, true
	request, got := "GET http://plain.example/ HTTP/1.1\r\nHost: x\r\n\r\n", make([]byte, 64)
	for round := range 2 {
		for i := range len(request) {
			if n, err := unix.Read(fds[1], got); err != unix.EAGAIN {
				t.Fatalf("request %d is answered after %d of %d bytes: %q, %v", round, i, len(request), got[:max(n, 0)], err)
			}
			e.take([]byte(request[i : i+1]))
		}
		for n := 0; n < len(w.m.reply); {
			k, err := unix.Read(fds[1], got)
			if err != nil || n == 0 && !bytes.HasPrefix(got, []byte("HTTP/1.1 200 OK\r\n")) {
				t.Fatalf("request %d: %d bytes of %d, %q, %v", round, n, len(w.m.reply), got, err)
			}
			n += k
		}
	}
}

func TestStubThatCannotListen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if s, err := StartStub(addrPort(l.Addr()), 1, 10); err == nil {
		s.Close()
		t.Error("no error, and another listens there")
	}
}

// faultyRelay serves each connection with f, on a port of its own.
func faultyRelay(t *testing.T, f func(c net.Conn, r *bufio.Reader)) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				f(c, bufio.NewReader(c))
			}()
		}
	}()
	return l.Addr()
}

// forward answers the requests of c with what the provider answers, without credentials.
func forward(c net.Conn, r *bufio.Reader) {
	up, err := net.Dial("tcp", address().String())
	if err != nil {
		return
	}
	defer up.Close()
	go func() { _, _ = io.Copy(c, up) }()
	_, _ = io.Copy(up, r)
}

func answer(text string, keep bool) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, r *bufio.Reader) {
		for {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			fmt.Fprint(c, text)
			if !keep {
				return
			}
		}
	}
}

const good = "HTTP/1.1 200 OK\r\n\r\n"

// What a relay does wrong is an error of the result, or of the run if no connection ever stands.
func TestFaultsOfARelayAreSeen(t *testing.T) {
	for _, row := range []struct {
		name string
		kind Kind
		f    func(net.Conn, *bufio.Reader)
		want string
	}{
		{"no credentials", Plain, forward, "a request came without credentials"},
		{"another status", Plain, answer("HTTP/1.1 502 Bad Gateway\r\n\r\n", true), "502 Bad Gateway"},
		{"end in the midst of a response", Plain, answer(good+"part", false), errEnded.Error()},
		{"no response", Plain, func(net.Conn, *bufio.Reader) {}, ""},
		{"more than was asked for", Plain, answer(good+string(make([]byte, 1024))+"more", true), "more"},
		{"a tunnel refused", Tunnel, answer("HTTP/1.1 403 Forbidden\r\n\r\n", true), "403 Forbidden"},
		{"a tunnel that ends", Tunnel, answer(good, false), ""},
		{"no SOCKS", Socks, func(c net.Conn, r *bufio.Reader) { fmt.Fprint(c, "\x05\xff"); _, _ = io.Copy(io.Discard, r) }, `answered "\x05\xff"`},
	} {
		s := Scenario{
			Kind: row.kind, Provider: address(), Clients: 2, Threads: 1, Warm: 20 * time.Millisecond, Duration: 50 * time.Millisecond,
		}
		s.Proxies = append(s.Proxies, addrPort(faultyRelay(t, row.f)))
		r, err := Run(s)
		switch {
		case err == nil && r.Errors == 0:
			t.Errorf("%s: nobody has seen it: %+v", row.name, r)
			continue
		case err == nil:
			err = r.FirstError
		}
		if !bytes.Contains([]byte(err.Error()), []byte(row.want)) {
			t.Errorf("%s: %v; want %q", row.name, err, row.want)
		}
	}
}
