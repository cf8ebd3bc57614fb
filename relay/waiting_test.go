package relay

import (
	"testing"
	"time"
)

// A client that has sent its FIN while its tunnel is not granted is taken for gone soon, and the upstream side ends too.
// One that has only ended its side is told.
func TestAbandonedTunnel(t *testing.T) {
	const soon = 50 * time.Millisecond
	silent := silentServer(t)
	for _, row := range []struct {
		name   string
		change func(*Config)
		says   string
		server func(g *rig) *peer // what it does, nil: nothing connects
		hears  string             // of SOCKS; empty: an answer in HTTP
	}{
		{"before the reply", nil, connect, func(g *rig) *peer {
			u := g.upstream()
			u.head()
			return u
		}, ""},
		{"payload behind the CONNECT", nil, connect + "hello", func(g *rig) *peer {
			u := g.upstream()
			u.head()
			return u
		}, ""},
		{"within the reply", nil, connect, func(g *rig) *peer {
			u := g.upstream()
			u.head()
			u.send("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200")
			return u
		}, ""},
		{"in the handshake", upstreamOf(SOCKS5), connect, func(g *rig) *peer {
			u := g.upstream()
			u.send("\x05\x02")
			u.take(3 + 2 + len("user-session-id1") + 1 + len("pass"))
			return u
		}, ""},
		{"at once", nil, connect, nil, ""},
		{"while dialling", func(cfg *Config) { cfg.Mappings[0].Servers = []Server{silent} }, connect, nil, ""},
		{"SOCKS5", nil, "\x05\x01\x00" + socks5Name, func(g *rig) *peer {
			u := g.upstream()
			u.head()
			return u
		}, "\x05\x00\x05\x04" + answer5[2:]},
		{"SOCKS4", nil, socks4Name, func(g *rig) *peer {
			u := g.upstream()
			u.head()
			return u
		}, "\x00\x5b\x00\x00\x00\x00\x00\x00"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, func(cfg *Config) {
				cfg.Limits = Limits{Abandon: soon, Dial: time.Minute}
				if row.change != nil {
					row.change(cfg)
				}
			})
			c := g.client(0)
			c.send(row.says)
			var u *peer
			if row.server != nil {
				u = row.server(g)
			}
			start := time.Now()
			c.fin()
			if row.hears != "" {
				c.expect(row.hears)
			} else {
				if row.name == "within the reply" {
					c.expect("HTTP/1.1 103 Early Hints\r\n\r\n")
				}
				c.expectAnswer(504, "upstream-timeout", "the client has ended its side")
			}
			c.expectEnd()
			if u != nil {
				u.expectReset()
			}
			if took := time.Since(start); took < soon*9/10 {
				t.Errorf("it ended after %v; want %v", took, soon)
			}
			await(t, "the connection is closed", func() bool { return g.relay.Connections() == 0 })
		})
	}
}

// The FIN may come at any time of the wait, and its time is counted from there.
func TestAbandonedLater(t *testing.T) {
	g := newRig(t, func(cfg *Config) { cfg.Limits.Abandon = time.Millisecond })
	c, u := g.asked(connect)
	u.send("HTTP/1.1 102 Processing\r\n\r\n")
	c.expect("HTTP/1.1 102 Processing\r\n\r\n")
	c.fin()
	c.expectAnswer(504, "upstream-timeout", "the client has ended its side")
	u.expectReset()
}

// Who is granted the tunnel in time has it for as long as others have.
func TestEndedClientIsGranted(t *testing.T) {
	g := newRig(t)
	c := g.client(0)
	c.send(connect + "all")
	c.fin()
	u := g.upstream()
	u.head()
	await(t, "its FIN has shortened the wait", func() bool { return g.left() <= DefaultLimits().Abandon })
	u.send(granted)
	u.expect("all")
	u.expectEnd()
	if left := g.left(); left < DefaultLimits().HalfClosed/2 {
		t.Errorf("the tunnel has %v; want %v", left, DefaultLimits().HalfClosed)
	}
	u.send("late")
	u.fin()
	c.expect(granted + "late")
	c.expectEnd()
}

// With AbandonTime switched off such a client has the time of the others.
func TestNobodyIsAbandoned(t *testing.T) {
	g := newRig(t, func(cfg *Config) { cfg.Limits = Limits{Abandon: -1, Reply: 50 * time.Millisecond} })
	c := g.client(0)
	c.send(connect)
	c.fin()
	c.expectAnswer(504, "upstream-timeout", "did not answer in time")
}

// left is how long the rig's one connection may stay as it is.
func (g *rig) left() (d time.Duration) {
	g.onLoops(func(c *conn) {
		if c.stage != stageClosed {
			d = time.Duration(c.deadline - c.l.now)
		}
	})
	return d
}

// A plain response has ResponseTime, and not ReplyTime.
func TestResponseTakesItsTime(t *testing.T) {
	const soon = 50 * time.Millisecond
	g := newRig(t, func(cfg *Config) { cfg.Limits.Reply = soon })
	c, u := g.asked(get)
	time.Sleep(3 * soon) // in which nothing happens
	u.send(ok)
	c.expect(ok)
}

// The time of a response begins with the last byte of its request, until which ReplyTime counts.
func TestResponseTimeBegins(t *testing.T) {
	reply, response := DefaultLimits().Reply, DefaultLimits().Response
	g := newRig(t)
	c, u := g.asked(post4 + "bo")
	u.expect("bo")
	if left := g.left(); left > reply {
		t.Errorf("within the request it has %v; want %v", left, reply)
	}
	c.send("dy")
	u.expect("dy")
	if left := g.left(); left <= reply || left > response {
		t.Errorf("after the request it has %v; want %v", left, response)
	}
	u.send("HTTP/1.1 102 Processing\r\n\r\n")
	c.expect("HTTP/1.1 102 Processing\r\n\r\n")
	if left := g.left(); left <= reply {
		t.Errorf("after an interim response it has %v; want %v", left, response)
	}
	c.fin()
	await(t, "the FIN counts", func() bool { return g.left() <= reply })
	u.send(ok)
	c.expect(ok)
}

// Once the client has sent its FIN ReplyTime counts, from there.
func TestResponseToEndedClient(t *testing.T) {
	const soon = 50 * time.Millisecond
	g := newRig(t, func(cfg *Config) { cfg.Limits = Limits{Reply: soon, Response: time.Minute} })
	c, u := g.asked(get)
	time.Sleep(2 * soon) // in which nothing happens
	start := time.Now()
	c.fin()
	c.expectAnswer(504, "upstream-timeout", "in time")
	u.expectReset()
	if took := time.Since(start); took < soon*9/10 {
		t.Errorf("it ended after %v; want %v", took, soon)
	}

	g = newRig(t, func(cfg *Config) { cfg.Limits = Limits{Reply: time.Minute, Response: 2 * soon} })
	c, u = g.asked(get)
	c.fin() // gives no more time
	c.expectAnswer(504, "upstream-timeout", "in time")
	u.expectReset()
}
