package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Bytes come many times in lifeLimit, so that a busy machine does not matter, for a multiple of it.
const (
	lifeLimit = time.Second
	lifeTest  = 2 * lifeLimit
)

const (
	postMuch  = "POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1000000\r\n\r\n"
	replyMuch = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
)

// streams are the ways in which bytes move for long: the end that sends and the one that receives.
var streams = []struct {
	name string
	open func(g *rig) (source, sink *peer)
}{
	{"content of a request", func(g *rig) (*peer, *peer) { return g.asked(postMuch) }},
	{"content of a response", func(g *rig) (*peer, *peer) {
		c, u := g.asked(get)
		u.send(replyMuch)
		c.expect(replyMuch)
		return u, c
	}},
	{"content of a request behind its response", func(g *rig) (*peer, *peer) {
		c, u := g.asked(postMuch)
		u.send(ok)
		c.expect(ok)
		c.expectEnd()
		return c, u
	}},
	{"content of an answer to CONNECT", func(g *rig) (*peer, *peer) {
		c, u := g.asked(connect)
		refusal := strings.Replace(replyMuch, "200 OK", "403 Forbidden", 1)
		u.send(refusal)
		c.expect(with(refusal, "Connection: close"))
		return u, c
	}},
	{"tunnel, up", func(g *rig) (*peer, *peer) { return g.tunnel() }},
	{"tunnel, down", func(g *rig) (*peer, *peer) {
		c, u := g.tunnel()
		return u, c
	}},
	{"half-closed tunnel", func(g *rig) (*peer, *peer) {
		c, u := g.tunnel()
		c.fin()
		u.expectEnd()
		return u, c
	}},
}

// stream opens all streams, has move run on each of them, all at once, and then waits until the relay has given them up.
func (g *rig) stream(move func(source, sink *peer) error) {
	g.t.Helper()
	done := make(chan error)
	for _, row := range streams {
		source, sink := row.open(g)
		go func() {
			err := move(source, sink)
			if err != nil {
				err = fmt.Errorf("%s: %w", row.name, err)
			}
			done <- err
		}()
	}
	for range streams {
		if err := <-done; err != nil {
			g.t.Error(err)
		}
	}
	await(g.t, "the relay gives all up", func() bool { return g.relay.Connections() == 0 })
}

func withLife(cfg *Config) {
	cfg.Limits = Limits{Reply: lifeLimit, Response: lifeLimit, TunnelIdle: lifeLimit, HalfClosed: lifeLimit, Linger: time.Millisecond}
}

// Where bytes count as life, a source that sends few of them lives for as long as it does so, and not for ever behind
// the last one.
func TestSlowSourceLives(t *testing.T) {
	t.Parallel()
	newRig(t, withLife).stream(func(source, sink *peer) error {
		for end := time.Now().Add(lifeTest); time.Now().Before(end); time.Sleep(lifeLimit / 50) {
			if _, err := io.WriteString(source.conn, "x"); err != nil {
				return err
			}
			if _, err := sink.r.ReadByte(); err != nil {
				return err
			}
		}
		return nil
	})
}

// So does a sink that takes few of them: what the relay keeps for it was read all at once.
func TestSlowSinkLives(t *testing.T) {
	t.Parallel()
	const size, window = 200 << 10, 4 << 10
	g := newRig(t, withLife)
	g.narrow()
	g.stream(func(source, sink *peer) error {
		g.narrowSinks()
		if _, err := io.WriteString(source.conn, strings.Repeat("x", size)); err != nil {
			return err
		}
		got := int64(0)
		for end := time.Now().Add(lifeTest); time.Now().Before(end); time.Sleep(lifeLimit / 10) {
			n, err := io.CopyN(io.Discard, sink.r, window) // less would leave it to TCP's timers when more comes
			if got += n; err != nil {
				return fmt.Errorf("%w after %d bytes", err, got)
			}
		}
		n, err := io.CopyN(io.Discard, sink.r, size-got)
		if err != nil {
			err = fmt.Errorf("%w after %d bytes", err, got+n)
		}
		return err
	})
}

// Where bytes do not count as life, they do not prolong it, nor is it shorter than its limit.
func TestTricklesProlongNothing(t *testing.T) {
	const limit = lifeLimit // a trickle without a pause of that length would last for long
	silent := silentServer(t)
	for _, row := range []struct {
		name   string
		limits Limits
		begin  func(g *rig) (trickles, told *peer)
		status int
		class  string
	}{
		{"request head", Limits{Head: limit}, func(g *rig) (*peer, *peer) {
			c := g.client(0)
			c.send("GET http://example.com/ HTTP/1.1\r\nHost: ")
			return c, c
		}, 408, "head-timeout"},
		{"content of an API call", Limits{Head: limit}, func(g *rig) (*peer, *peer) {
			c := g.client(0)
			c.send("POST http://portmapper/session/new HTTP/1.1\r\nHost: portmapper\r\nContent-Length: 60000\r\n\r\n")
			return c, c
		}, 408, "head-timeout"},
		{"dialling", Limits{Dial: limit}, func(g *rig) (*peer, *peer) {
			c := g.client(1)
			c.send(postMuch)
			return c, c
		}, 504, "upstream-timeout"},
		{"response head", Limits{Response: limit}, func(g *rig) (*peer, *peer) {
			c, u := g.asked(get)
			u.send("HTTP/1.1 200 OK\r\nA: ")
			return u, c
		}, 504, "upstream-timeout"},
		{"response head to CONNECT", Limits{Reply: limit}, func(g *rig) (*peer, *peer) {
			c, u := g.asked(connect)
			u.send("HTTP/1.1 200 OK\r\nA: ")
			return u, c
		}, 504, "upstream-timeout"},
		{"lingering", Limits{Linger: limit}, func(g *rig) (*peer, *peer) {
			c := g.client(0)
			c.send("x\r\n")
			c.expectAnswer(400, "bad-request", "")
			c.expectEnd()
			return c, nil
		}, 0, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, withAPI("portmapper"), func(cfg *Config) {
				hanging := cfg.Mappings[0]
				hanging.Servers = []Server{silent}
				cfg.Mappings = append(cfg.Mappings, hanging)
				cfg.Limits = row.limits
				if cfg.Limits.Linger == 0 {
					cfg.Limits.Linger = time.Millisecond
				}
			})
			start := time.Now()
			trickles, told := row.begin(g)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				if told != nil {
					told.expectAnswer(row.status, row.class, "")
				}
				await(t, "the relay ends it", func() bool { return g.relay.Connections() == 0 })
			}()
			for over := false; !over; {
				select {
				case <-ended:
					over = true
				case <-time.After(limit / 200):
					_, _ = io.WriteString(trickles.conn, "x")
				}
			}
			if took := time.Since(start); took < limit*9/10 {
				t.Errorf("it ended after %v; want %v", took, limit)
			}
		})
	}
}

// An interim response says that the provider works on it, and gives it its time anew.
func TestInterimResponsesAreLife(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(cfg *Config) { cfg.Limits.Response = lifeLimit })
	c, u := g.asked(get)
	for range maxInformational {
		time.Sleep(lifeLimit / 8)
		u.send("HTTP/1.1 102 Processing\r\n\r\n")
		c.expect("HTTP/1.1 102 Processing\r\n\r\n")
	}
	u.send(ok)
	c.expect(ok)
}

// onLoops has the loops call f for each of their connections.
func (g *rig) onLoops(f func(c *conn)) {
	for _, l := range g.relay.loops {
		done := make(chan struct{})
		l.do(func() {
			defer close(done)
			for _, c := range l.conns {
				if c != nil && c.stage != stageClosed {
					f(c)
				}
			}
		})
		<-done
	}
}

// narrow has the kernel keep little of what clients and the provider do not read. It is for connections to come;
// narrowSinks is for the relay's side of those that there are.
func (g *rig) narrow() {
	control := func(_, _ string, conn syscall.RawConn) error {
		var failed error
		err := conn.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10) })
		return errors.Join(err, failed)
	}
	g.dialer.Control = control
	conn, err := g.provider.(*net.TCPListener).SyscallConn()
	if err == nil {
		err = control("", "", conn)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *rig) narrowSinks() {
	g.onLoops(func(c *conn) {
		for _, s := range []socket{c.client, c.upstream} {
			if s.fd < 0 {
				continue // it is still being opened
			}
			if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<10); err != nil {
				g.t.Error(err)
			}
		}
	})
}
