package relay

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// keepAliveOf renders what a socket has of keep-alive.
func keepAliveOf(fd int) string {
	get := func(level, name int) int {
		n, err := unix.GetsockoptInt(fd, level, name)
		if err != nil {
			return -1
		}
		return n
	}
	if get(unix.SOL_SOCKET, unix.SO_KEEPALIVE) == 0 {
		return "off"
	}
	return fmt.Sprintf("%d s, %d each %d s", get(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE), get(unix.IPPROTO_TCP, unix.TCP_KEEPCNT),
		get(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL))
}

// keepAlive is what both sockets of the rig's one connection have, and whether the upstream one is to get it.
func (g *rig) keepAlive() (client, upstream string, later bool) {
	g.onLoops(func(c *conn) {
		client, upstream, later = keepAliveOf(c.client.fd), keepAliveOf(c.upstream.fd), c.upstream.keepAliveAt != 0
	})
	return client, upstream, later
}

// A client's socket has keep-alive from the beginning, and an upstream one is to get it later.
func TestKeepAlive(t *testing.T) {
	for _, row := range []struct {
		name   string
		set    time.Duration
		client string
		later  bool
	}{
		{"default", 0, "60 s, 4 each 15 s", true},
		{"set", 7 * time.Minute, "420 s, 4 each 15 s", true},
		{"rounded up", 29*time.Second + 1, "30 s, 4 each 15 s", true},
		{"off", -1, "off", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t, func(cfg *Config) { cfg.Limits.KeepAlive = row.set })
			client, provider := g.tunnel()
			c, u, later := g.keepAlive()
			if c != row.client || u != "off" || later != row.later {
				t.Errorf("the client's socket has %q, the new upstream one %q, and more later: %v; want %q, off, %v", c, u, later, row.client, row.later)
			}
			client.send("x")
			provider.expect("x")
		})
	}
}

// An upstream connection gets keep-alive when it has stood for a while: while it carries nothing, as the upstream
// of a tunnel or between two requests, while its answer is waited for, and on the loop that it has been handed to.
func TestKeepAliveOfUpstream(t *testing.T) {
	const soon = 20 * time.Millisecond
	tunnel := func(g *rig) { g.tunnel() }
	for _, row := range []struct {
		name   string
		begin  func(g *rig)
		limits Limits
	}{
		{"tunnel", tunnel, Limits{}},
		{"tunnel without a limit", tunnel, Limits{Idle: -1, Dial: -1, Reply: -1, TunnelIdle: -1}},
		{"between two requests", func(g *rig) { g.served() }, Limits{}},
		{"waiting for an answer", func(g *rig) { g.asked(get) }, Limits{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.limits.KeepAlive = soon
			g := newRig(t, func(cfg *Config) { cfg.Limits = row.limits })
			row.begin(g)
			await(t, "keep-alive of the upstream socket", func() bool {
				_, u, later := g.keepAlive()
				return u == "1 s, 4 each 15 s" && !later
			})
		})
	}
	t.Run("handed over", func(t *testing.T) {
		g := newRig(t, func(cfg *Config) { cfg.Loops = 2 })
		client, provider := g.tunnel()
		from, to := apart(g.relay)
		done := make(chan struct{})
		from.do(func() {
			for _, c := range from.conns {
				if c != nil && c.upstream.fd >= 0 {
					c.upstream.keepAliveAt = from.now + int64(soon) // the timers of this loop know nothing of it
				}
			}
			hand(from, to)
			close(done)
		})
		<-done
		await(t, "keep-alive of the upstream socket", func() bool {
			_, u, _ := g.keepAlive()
			return u == "60 s, 4 each 15 s"
		})
		client.send("x")
		provider.expect("x")
	})
}

// Keep-alive moves no deadline, and no deadline keeps it from coming.
func TestKeepAliveMovesNoDeadline(t *testing.T) {
	var timers timers
	c := &conn{timer: -1, deadline: 100}
	timers.set(c)
	due := func(now int64) bool { return timers.due(now) == c }
	c.upstream.keepAliveAt = 30
	timers.set(c)
	if due(29) || !due(30) {
		t.Error("with keep-alive at 30 it does not come up then")
	}
	c.upstream.keepAliveAt = 0
	c.deadline = 200 // as bytes come
	timers.set(c)
	if due(199) || !due(200) {
		t.Error("when that is done it does not come up at its deadline")
	}
	c.deadline, c.upstream.keepAliveAt = never, 0
	if due(201) {
		t.Error("it comes up without a deadline")
	}
	c.upstream.keepAliveAt = 300
	timers.set(c)
	if due(299) || !due(300) {
		t.Error("without a deadline it does not come up for keep-alive")
	}
	c.deadline, c.upstream.keepAliveAt = 400, 500
	timers.set(c)
	if due(399) || !due(400) {
		t.Error("with keep-alive after its deadline it does not come up at that")
	}
}
