package relay

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"proxymap/session"
)

// call has a new client ask the Session API, and returns the answer's head and content.
func (g *rig) call(request string) (head, content string) {
	g.t.Helper()
	c := g.client(0)
	return c.call(request)
}

func (c *peer) call(request string) (head, content string) {
	c.t.Helper()
	line, body, _ := strings.Cut(request, "\n")
	c.send(fmt.Sprintf("%s HTTP/1.1\r\nHost: portmapper\r\nContent-Length: %d\r\n\r\n%s", line, len(body), body))
	head = c.head()
	n := 0
	if m := regexp.MustCompile(`Content-Length: (\d+)`).FindStringSubmatch(head); m != nil {
		fmt.Sscan(m[1], &n)
	}
	return head, string(c.take(n))
}

// counts is what an answer says of the connections.
func counts(content string) string {
	m := regexp.MustCompile(`"closed": (\d+),\s+"draining": (\d+)`).FindStringSubmatch(content)
	if m == nil {
		return "none"
	}
	return m[1] + " " + m[2]
}

const (
	renewSession = "GET http://portmapper/session/new"
	resetSession = "GET http://portmapper/session/reset"
)

// A rotation reaches what the session's connections are at, as it is told to.
func TestRotationReachesConnections(t *testing.T) {
	for _, row := range []struct {
		name, call   string
		policy       session.OnRotate
		counts       string
		idle, busy   string // what becomes of them: stays, ends, reset
		drainingEnds bool
	}{
		{name: "by default", call: renewSession, counts: "none", idle: "stays", busy: "stays"},
		{name: "keep", call: renewSession + "?on_rotate=keep", policy: session.CloseAll, counts: "0 0", idle: "stays", busy: "stays"},
		{name: "close", call: renewSession + "?on_rotate=close", counts: "4 0", idle: "ends", busy: "reset"},
		{name: "close by reset", call: resetSession + "?on_rotate=Close", counts: "4 0", idle: "ends", busy: "reset"},
		{name: "close by the body", call: "POST http://portmapper/session/new\n" + `{"UsernameParameters":{"a":"b"},"OnRotate":"close"}`, counts: "4 0", idle: "ends", busy: "reset"},
		{name: "close by the settings", call: renewSession, policy: session.CloseAll, counts: "4 0", idle: "ends", busy: "reset"},
		{name: "drain", call: renewSession + "?on_rotate=drain", counts: "1 3", idle: "ends", busy: "stays"},
		{name: "drain by the settings", call: resetSession, policy: session.Drain, counts: "1 3", idle: "ends", busy: "stays"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t, withAPI("portmapper"), func(cfg *Config) {
				cfg.Mappings[0].OnRotate, cfg.Mappings[0].DrainTime = row.policy, time.Hour
			})
			api := g.client(0) // has only spoken to the API, so it belongs to no session
			api.call("GET http://portmapper/session/")
			fresh := g.client(0) // has said nothing
			idle, _ := g.served()
			tunnel, tunnelEnd := g.tunnel()
			exchange, exchangeEnd := g.asked(get)
			caller, callerEnd := g.served() // asks, and is not counted
			dialled := g.client(0)
			dialled.send(get)
			g.upstream() // its head has left, and no answer comes

			_, content := caller.call(row.call)
			if got := counts(content); got != row.counts {
				t.Errorf("the answer counts %s; want %s\n%s", got, row.counts, content)
			}
			if row.idle == "ends" {
				idle.expectEnd()
			}
			if row.busy == "reset" {
				tunnel.expectReset()
				tunnelEnd.expectReset()
				exchange.expectReset()
				exchangeEnd.expectReset()
			} else {
				tunnel.send("x")
				tunnelEnd.expect("x")
				exchangeEnd.send(ok)
				exchange.expect(ok)
			}
			if strings.HasPrefix(row.name, "drain") {
				exchange.expectEnd() // when its response is out
			}
			for _, c := range []*peer{api, fresh, caller} {
				if head, _ := c.call("GET http://portmapper/session/"); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
					t.Errorf("a connection that does not belong to the session got %q", head)
				}
			}
			caller.send(get) // goes on under the new session
			callerEnd.expectEnd()
			if head := g.upstream().head(); strings.Contains(head, credentialsOf(1)) {
				t.Errorf("the caller's next request has the old id")
			}
		})
	}
}

// What is not keep, drain or close is refused, and has changed nothing.
func TestRotationRefusals(t *testing.T) {
	g := newRig(t, withAPI("portmapper"))
	_, before := g.call("GET http://portmapper/session/")
	for _, call := range []string{
		renewSession + "?on_rotate=now", renewSession + "?on_rotate=", resetSession + "?on_rotate=1",
		renewSession + "?on_rotate=keep&on_rotate=close",
		"POST http://portmapper/session/new\n" + `{"OnRotate":"x"}`, "POST http://portmapper/session/new\n" + `{"OnRotate":null}`,
		"POST http://portmapper/session/new?on_rotate=keep\n" + `{"OnRotate":"keep"}`,
	} {
		if head, content := g.call(call); !strings.HasPrefix(head, "HTTP/1.1 400 ") || !strings.Contains(content, "on_rotate") {
			t.Errorf("%s: got %q, %q; want 400 and on_rotate named", call, head, content)
		}
	}
	if _, after := g.call("GET http://portmapper/session/"); after != before {
		t.Errorf("the session was %s and is %s", before, after)
	}
	if _, content := g.call(renewSession + "?on_rotate=keep"); strings.Contains(content, "username_parameters") {
		t.Errorf("no parameters were given, and the session shows some: %s", content)
	}
	// It never becomes a parameter.
	if _, content := g.call(renewSession + "?on_rotate=keep&country=de"); strings.Contains(content, "on_rotate") || !strings.Contains(content, `"country": "de"`) {
		t.Errorf("got %s", content)
	}
}

// With lifetime 0 there is no session that a connection could belong to.
func TestRotationWithoutSessions(t *testing.T) {
	g := newRig(t, withAPI("portmapper"), func(cfg *Config) { cfg.Mappings[0].Plan = newPlan(t, session.PlanConfig{}) })
	tunnel, end := g.tunnel()
	if _, content := g.call(renewSession + "?on_rotate=close"); counts(content) != "0 0" {
		t.Errorf("got %s; want none", content)
	}
	tunnel.send("x")
	end.expect("x")
}

// Also what is left of earlier sessions of the port, and nothing of other ports.
func TestRotationReachesEarlierSessions(t *testing.T) {
	g := newRig(t, withAPI("portmapper"), func(cfg *Config) { cfg.Mappings = append(cfg.Mappings, cfg.Mappings[0]) })
	first, _ := g.tunnel()
	g.call(renewSession)
	second, _ := g.tunnel()
	other := g.client(1)
	other.send(connect)
	u := g.upstream()
	u.head()
	u.send(granted)
	other.expect(granted)
	if _, content := g.call(renewSession + "?on_rotate=close"); counts(content) != "2 0" {
		t.Errorf("got %s; want both tunnels of the port", content)
	}
	first.expectReset()
	second.expectReset()
	other.send("x")
	u.expect("x")
}

// While it is being dialled for, and while a SOCKS server is asked, a request belongs to its session already.
func TestRotationReachesDialling(t *testing.T) {
	silent := silentServer(t)
	for name, change := range map[string]func(*Config){
		"dialling":    func(cfg *Config) { cfg.Mappings[0].Servers = []Server{silent} },
		"handshaking": upstreamOf(SOCKS5),
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, withAPI("portmapper"), change)
			c := g.client(0)
			c.send(get)
			await(t, "it is under way", func() bool {
				return onLoops(g.relay, func(l *loop) (n int) {
					for _, c := range l.conns {
						if c != nil && (c.stage == stageDial || c.stage == stageHandshake) {
							n++
						}
					}
					return n
				}) == 1
			})
			if _, content := g.call(renewSession + "?on_rotate=close"); counts(content) != "1 0" {
				t.Errorf("got %s; want it closed", content)
			}
			c.expectReset()
		})
	}
}

// What drains already is given no more time by the next rotation, nor counted by it again.
func TestDrainIsNotProlonged(t *testing.T) {
	g := newRig(t, withAPI("portmapper"), func(cfg *Config) {
		cfg.Mappings[0].OnRotate, cfg.Mappings[0].DrainTime = session.Drain, time.Hour
	})
	g.tunnel()
	drainBy := func() int64 {
		return int64(onLoops(g.relay, func(l *loop) (at int) {
			for _, c := range l.conns {
				if c != nil && c.stage == stageTunnel {
					at += int(c.drainBy)
				}
			}
			return at
		}))
	}
	if _, content := g.call(renewSession); counts(content) != "0 1" {
		t.Fatalf("got %s; want it draining", content)
	}
	first := drainBy()
	if _, content := g.call(renewSession); counts(content) != "0 0" {
		t.Errorf("got %s; want nothing that begins to drain", content)
	}
	if again := drainBy(); again != first || first == 0 {
		t.Errorf("it ends at %d after the second rotation; want %d, as after the first", again, first)
	}
}

// Draining ends by its time.
func TestDrainTime(t *testing.T) {
	g := newRig(t, withAPI("portmapper"), func(cfg *Config) {
		cfg.Mappings[0].OnRotate, cfg.Mappings[0].DrainTime = session.Drain, 50*time.Millisecond
	})
	tunnel, end := g.tunnel()
	if _, content := g.call(renewSession); counts(content) != "0 1" {
		t.Errorf("got %s; want it draining", content)
	}
	tunnel.expectReset()
	end.expectReset()
}

// A session that expires reaches its connections by itself.
func TestExpiryReachesConnections(t *testing.T) {
	t.Parallel()
	g := newRig(t, withAPI("portmapper"), func(cfg *Config) {
		cfg.Mappings[0].OnRotate = session.CloseAll
		cfg.Mappings[0].Plan = newPlan(t, session.PlanConfig{Lifetime: 300 * time.Millisecond})
	})
	tunnel, _ := g.tunnel()
	idle, _ := g.served()
	tunnel.expectReset()
	idle.expectEnd()
}

// Once the answer to a close is out no request leaves with the old id, on whichever loop, while requests go on all the
// time.
func TestNoOldIdAfterClose(t *testing.T) {
	g := newRig(t, withAPI("portmapper"))
	heads := make(chan string, 1000)
	go func() {
		for {
			conn, err := g.provider.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				p := newPeer(t, "provider", conn)
				for {
					var head strings.Builder
					for !strings.HasSuffix(head.String(), "\r\n\r\n") {
						line, err := p.r.ReadString('\n')
						if err != nil {
							return
						}
						head.WriteString(line)
					}
					select {
					case heads <- head.String():
					default:
					}
					if _, err := io.WriteString(conn, ok); err != nil {
						return
					}
				}
			}()
		}
	}()
	stop := make(chan struct{})
	defer close(stop)
	const clients = 8
	for range clients {
		go func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if conn, err := dialRelay(g); err == nil {
					for range 20 {
						if _, err := io.WriteString(conn, get); err != nil {
							break
						}
						if _, err := io.ReadFull(conn, make([]byte, len(ok))); err != nil {
							break
						}
					}
					conn.Close()
				}
			}
		}()
	}
	<-heads
	for range 50 {
		_, content := g.call(renewSession + "?on_rotate=close")
		id := regexp.MustCompile(`"session_id": "(\w+)"`).FindStringSubmatch(content)[1]
		for range len(heads) { // from before the answer
			<-heads
		}
		// Each client has one request under way at most, whose head may have left before the answer and be looked at behind
		// it. That many may be old, and not one more.
		old := 0
		for range 5 * clients {
			if head := <-heads; !strings.Contains(head, basic("user-session-"+id, "pass")) {
				old++
			}
		}
		if old > clients {
			t.Fatalf("%d requests have left with another id than %s", old, id)
		}
	}
}

// later is a moment when the sessions of a rig's port have expired.
func later() int64 { return time.Now().Add(time.Hour).UnixNano() }

// A session that has expired reaches its connections also if a request has another take its place before anyone has seen
// it. Nobody needs to listen for that.
func TestExpiryReachesConnectionsOfReplacedSession(t *testing.T) {
	for name, replace := range map[string]func(*session.Slot){
		"by a request":          func(s *session.Slot) { s.Current(later(), nil) },
		"by two":                func(s *session.Slot) { s.Current(later(), nil); s.Current(later()+int64(time.Hour), nil) },
		"by a call for another": func(s *session.Slot) { _, _ = s.Renew(later(), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, func(cfg *Config) { cfg.Mappings[0].OnRotate = session.CloseAll })
			tunnel, end := g.tunnel()
			idle, _ := g.served()
			replace(g.relay.ports()[0].slot)
			tunnel.expectReset()
			end.expectReset()
			idle.expectEnd()
		})
	}
}

// The same under Drain.
func TestExpiryDrainsConnectionsOfReplacedSession(t *testing.T) {
	g := newRig(t, func(cfg *Config) {
		cfg.Mappings[0].OnRotate, cfg.Mappings[0].DrainTime = session.Drain, 50*time.Millisecond
	})
	tunnel, _ := g.tunnel()
	idle, _ := g.served()
	g.relay.ports()[0].slot.Current(later(), nil)
	idle.expectEnd()
	tunnel.expectReset()
}

// Callers that leave at once, and others that take their place in the loops' tables, confuse no rotation.
func TestCallersThatLeave(t *testing.T) {
	g := newRig(t, withAPI("portmapper"), func(cfg *Config) { cfg.Loops, cfg.spread = 2, true })
	var ends sync.WaitGroup
	until := time.Now().Add(500 * time.Millisecond)
	for i := range 8 {
		ends.Go(func() {
			for time.Now().Before(until) {
				conn, err := dialRelay(g)
				if err != nil {
					t.Error(err)
					return
				}
				if i%2 == 0 {
					_, _ = io.WriteString(conn, renewSession+"?on_rotate=close HTTP/1.1\r\nHost: portmapper\r\n\r\n")
				}
				_ = conn.(*net.TCPConn).SetLinger(0)
				conn.Close()
			}
		})
	}
	ends.Wait()
}
