package relay

import (
	"io"
	"strings"
	"testing"
	"time"

	"proxymap/session"
)

const (
	forbidden20 = "HTTP/1.1 403 Forbidden\r\nContent-Length: 20\r\n\r\n"
	content20   = "twenty bytes of why."
)

func onForbidden(how session.OnRotate) func(*Config) {
	return func(cfg *Config) {
		cfg.Mappings[0].RotateOn = []Signal{{Status: []int{403}, Count: 1, Within: time.Hour}}
		cfg.Mappings[0].OnRotate, cfg.Mappings[0].DrainTime = how, time.Hour
	}
}

// The response that has a session replaced comes whole, and its connection ends then, as the others of the session do.
func TestSignalSparesItsResponse(t *testing.T) {
	for _, how := range []session.OnRotate{session.CloseAll, session.Drain} {
		for name, row := range map[string]struct{ request, head, content string }{
			"plain":                        {get, forbidden20, content20},
			"CONNECT refused":              {connect, forbidden20, content20},
			"plain, chunked":               {get, "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n", "3\r\nwhy\r\n0\r\n\r\n"},
			"content of the request comes": {post4 + "body", forbidden20, content20},
		} {
			t.Run(map[session.OnRotate]string{session.CloseAll: "close, ", session.Drain: "drain, "}[how]+name, func(t *testing.T) {
				g := newRig(t, onForbidden(how))
				tunnel, tunnelEnd := g.tunnel()
				idle, _ := g.served()
				first := g.sessionID()
				c, u := g.asked(row.request)
				u.send(row.head)
				if row.request == connect {
					row.head = with(row.head, "Connection: close")
				}
				c.expect(row.head)
				idle.expectEnd() // so it has been looked at
				if how == session.CloseAll {
					tunnel.expectReset()
				} else {
					tunnel.send("x")
					tunnelEnd.expect("x")
				}
				if g.sessionID() == first {
					t.Fatal("the session is the same")
				}
				u.send(row.content)
				c.expect(row.content)
				c.expectEnd()
			})
		}
	}
}

// It comes whole to a client that takes it slowly too.
func TestSignalSparesSlowClient(t *testing.T) {
	t.Parallel()
	g := newRig(t, onForbidden(session.CloseAll))
	idle, _ := g.served()
	c, u := g.asked(get)
	content := strings.Repeat("x", 16<<20)
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(u.conn, "HTTP/1.1 403 Forbidden\r\nContent-Length: 16777216\r\n\r\n"+content)
		sent <- err
	}()
	idle.expectEnd()
	c.head()
	c.expect(content)
	c.expectEnd()
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// It is not spared for ever: a response that does not end has the time of those that drain, and a call cuts it at once.
func TestSignalDoesNotSpareForEver(t *testing.T) {
	t.Run("its time passes", func(t *testing.T) {
		g := newRig(t, onForbidden(session.CloseAll), func(cfg *Config) { cfg.Mappings[0].DrainTime = 20 * time.Millisecond })
		c, u := g.asked(get)
		u.send(forbidden20)
		c.expect(forbidden20)
		c.expectReset()
		u.expectReset()
	})
	t.Run("a call", func(t *testing.T) {
		g := newRig(t, withAPI("portmapper"), onForbidden(session.CloseAll))
		c, u := g.asked(get)
		u.send(forbidden20)
		c.expect(forbidden20)
		if _, content := g.call(renewSession); counts(content) != "1 0" {
			t.Errorf("got %s; want it closed", content)
		}
		c.expectReset()
	})
}

// What a signal's own answer turns into is not spared: a tunnel under the old session would live on.
func TestSignalDoesNotSpareTunnel(t *testing.T) {
	g := newRig(t, onForbidden(session.CloseAll), func(cfg *Config) {
		cfg.Mappings[0].RotateOn[0].Status = []int{200}
	})
	c, u := g.asked(connect)
	u.send(granted)
	c.expectReset()
	u.expectReset()
}
