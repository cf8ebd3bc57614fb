package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"proxymap/session"
	"proxymap/session/credential"
)

// planWith is a plan like the rig's with another password; change may alter more of it.
func planWith(t testing.TB, password string, change ...func(*session.PlanConfig)) *session.Plan {
	cfg := session.PlanConfig{Lifetime: 10 * time.Minute, Set: true, Account: &credential.Account{
		Username: "user", Password: password, Parameters: []credential.Parameter{{Name: "session", Value: "^id[1-9][0-9]{0,2}", SessionID: true}},
	}}
	for _, f := range change {
		f(&cfg)
	}
	return newPlan(t, cfg)
}

// successor is a mapping that the rig's port may take after the one that it has.
func (g *rig) successor(change func(*Mapping, *setup)) (m, old *mapping) {
	g.t.Helper()
	old = g.relay.ports()[0].mapping()
	cfg, s := old.Mapping, *old.setup
	change(&cfg, &s)
	m, err := newMapping(cfg, old.ofRules, &s, old, true)
	if err != nil {
		g.t.Fatal(err)
	}
	return m, old
}

// swap has the rig's port take another mapping.
func (g *rig) swap(change func(*Mapping, *setup)) {
	g.t.Helper()
	m, old := g.successor(change)
	g.relay.ports()[0].take(time.Now().UnixNano(), m, m.placesOf(old.proxies), session.FateJudged)
}

// swapHalf does of that what a request may find that comes in its middle: the slot has the plan, and the port not yet the
// mapping.
func (g *rig) swapHalf(change func(*Mapping, *setup)) {
	g.t.Helper()
	m, _ := g.successor(change)
	p := g.relay.ports()[0]
	p.coming.Store(m)
	p.slot.Adopt(time.Now().UnixNano(), m.Plan, 0, false, session.FateJudged)
}

// toOther changes the password, and the server to one whose connections the listener gets.
func (g *rig) toOther(plan *session.Plan) (change func(*Mapping, *setup), other net.Listener) {
	g.t.Helper()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { other.Close() })
	return func(m *Mapping, _ *setup) { m.Plan, m.Servers = plan, []Server{serverAt(other.Addr())} }, other
}

// expectLogin reads a head with the credentials of a session and that password.
func (p *peer) expectLogin(id, password string) {
	p.t.Helper()
	if head := p.head(); !strings.Contains(head, basic("user-session-"+id, password)) {
		p.t.Fatalf("%s: got %q; want the credentials of session %s with password %s", p.name, head, id, password)
	}
}

// A request goes by the settings of its beginning, and the next one of the same connection by the new ones: another server,
// another password, the same session. The old upstream connection is not used again.
func TestSwapBetweenRequests(t *testing.T) {
	g := newRig(t)
	client, old := g.served()
	change, other := g.toOther(planWith(t, "next"))
	g.swap(change)
	client.send(get)
	next := accepted(t, other)
	next.expectLogin("id1", "next")
	next.send(ok)
	client.expect(ok)
	old.expectEnd()
}

// What no connection upstream depends on leaves it in use; the next request goes by it all the same.
func TestSwapOfLimitsAlone(t *testing.T) {
	g := newRig(t)
	client, upstream := g.served()
	g.swap(func(m *Mapping, s *setup) { s.headLimits.Target = 64 })
	client.send(get)
	upstream.expectLogin("id1", "pass")
	upstream.send(ok)
	client.expect(ok)
	client.send("GET http://example.com/" + strings.Repeat("a", 64) + " HTTP/1.1\r\nHost: example.com\r\n\r\n")
	client.expectAnswer(414, "target-too-long", "")
}

// Who waits for a look-up, for a response, or is sent a second time, stays under the settings of its beginning.
func TestSwapUnderWay(t *testing.T) {
	for _, row := range []struct {
		name string
		sent func(g *rig, swap func()) (client *peer) // has a request served by g.provider with a swap in its middle
	}{
		{"dialling", func(g *rig, swap func()) *peer {
			client := g.client(0)
			client.send(get)
			await(g.t, "the look-up", func() bool { return g.server().isBusy() })
			swap()
			return client
		}},
		{"waiting for the response", func(g *rig, swap func()) *peer {
			client := g.client(0)
			client.send(get)
			upstream := g.upstream()
			upstream.expectLogin("id1", "pass")
			swap()
			upstream.send(ok)
			return client
		}},
		{"sent a second time", func(g *rig, swap func()) *peer {
			client, upstream := g.served()
			client.send(get)
			upstream.head()
			swap()
			upstream.close()
			return client
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			release := make(chan struct{})
			dials := row.name == "dialling"
			g := newRig(t, func(cfg *Config) {
				if dials {
					cfg.Mappings[0].Servers = []Server{{Host: "dead.test", Port: 1}, {Host: "provider.test", Port: cfg.Mappings[0].Servers[0].Port}}
				}
				cfg.lookup = func(_ context.Context, host string, _ func([]netip.Addr)) ([]netip.Addr, error) {
					<-release
					if host == "dead.test" {
						return nil, errors.New("gone")
					}
					return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
				}
			})
			change, other := g.toOther(planWith(t, "next"))
			client := row.sent(g, func() { g.swap(change); close(release) })
			if row.name != "waiting for the response" {
				upstream := g.upstream()
				upstream.expectLogin("id1", "pass")
				upstream.send(ok)
			}
			client.expect(ok)
			if server := g.relay.ports()[0].slot.Server(); server != 0 {
				t.Errorf("the new settings have one server, and the port is pinned to %d", server)
			}
			client.send(get)
			next := accepted(t, other)
			next.expectLogin("id1", "next")
			next.send(ok)
			client.expect(ok)
		})
	}
}

// Where the lifetime is 0 the credentials are the connection's own. They too are those of the settings.
func TestSwapWithoutSession(t *testing.T) {
	alone := func(c *session.PlanConfig) { c.Lifetime = 0 }
	g := newRig(t, func(cfg *Config) { cfg.Mappings[0].Plan = planWith(t, "pass", alone) })
	client, _ := g.served()
	g.swap(func(m *Mapping, _ *setup) { m.Plan = planWith(t, "next", alone) })
	client.send(get)
	upstream := g.upstream()
	upstream.expectLogin("id1", "next")
	upstream.send(ok)
	client.expect(ok)
}

// A client is judged by the settings of its request, also where it has brought the same in the one before.
func TestSwapJudgesAnew(t *testing.T) {
	verifying := func(c *session.PlanConfig) { c.Require, c.Verify = true, true }
	g := newRig(t, func(cfg *Config) { cfg.Mappings[0].Plan = planWith(t, "pass", verifying) })
	request := with(get, strings.TrimSuffix(basic("user", "pass"), "\r\n"))
	client, upstream := g.asked(request)
	upstream.send(ok)
	client.expect(ok)
	g.swap(func(m *Mapping, _ *setup) { m.Plan = planWith(t, "next", verifying) })
	client.send(request)
	client.expectAnswer(407, "proxy-auth", "")
}

// A SOCKS client is judged by the settings of its request, whatever those of its login said.
func TestSwapJudgesSocks(t *testing.T) {
	verifying := func(c *session.PlanConfig) { c.Require, c.Verify = true, true }
	g := newRig(t, func(cfg *Config) { cfg.Mappings[0].Plan = planWith(t, "pass", verifying) })
	client := g.client(0)
	client.send("\x05\x01\x02")
	client.expect("\x05\x02")
	client.send("\x01\x04user\x04pass")
	client.expect("\x01\x00")
	g.swap(func(m *Mapping, _ *setup) { m.Plan = planWith(t, "next", verifying) })
	client.send("\x05\x01\x00\x03\x0bexample.com\x01\xbb")
	client.expect("\x05\x01\x00\x01\x00\x00\x00\x00\x00\x00")
	client.expectEnd()
}

// A request that comes in the middle of a change finds a session of the new plan under the old mapping. It is routed anew,
// and counted once.
func TestSwapInTheMiddle(t *testing.T) {
	for _, lifetime := range []time.Duration{0, 10 * time.Minute} {
		g := newRig(t)
		change, other := g.toOther(planWith(t, "next", func(c *session.PlanConfig) { c.Lifetime = lifetime }))
		g.served()
		g.swapHalf(change)
		client := g.client(0)
		client.send(get)
		next := accepted(t, other)
		next.expectLogin("id1", "next")
		next.send(ok)
		client.expect(ok)
		if s := g.relay.Stats(); s.Requests != 2 || s.HostProxified != 2 || s.AuthenticationNotRequired != 2 {
			t.Errorf("lifetime %v: of two requests %d, %d and %d are counted", lifetime, s.Requests, s.HostProxified, s.AuthenticationNotRequired)
		}
	}
}

// What the new settings ask of a client they ask of one that comes in the middle, too.
func TestSwapInTheMiddleJudges(t *testing.T) {
	g := newRig(t)
	g.served()
	g.swapHalf(func(m *Mapping, _ *setup) {
		m.Plan = planWith(t, "next", func(c *session.PlanConfig) { c.Require = true })
	})
	client := g.client(0)
	client.send(get)
	client.expectAnswer(407, "proxy-auth", "")
}

// A head that has met the limits of its time is read again under any.
func TestSwapToSmallerLimits(t *testing.T) {
	g := newRig(t)
	g.served()
	change, other := g.toOther(planWith(t, "next"))
	g.swapHalf(func(m *Mapping, s *setup) {
		change(m, s)
		m.Servers[0].Type = SOCKS5
		s.headLimits.Head = 100
	})
	client := g.client(0)
	client.send(with(get, "X: "+strings.Repeat("a", 1000)))
	upstream := accepted(t, other)
	if _, login := upstream.socksServer(); login != "user-session-id1:next" {
		t.Errorf("the SOCKS server gets the credentials %q", login)
	}
	if head := upstream.head(); !strings.Contains(head, "\r\nX: aaa") {
		t.Errorf("the request goes as %q", head)
	}
}

// Under requests without end each of them goes wholly under one of the two: each provider gets its own password alone, and no
// request fails.
func TestSwapUnderLoad(t *testing.T) {
	for _, lifetime := range []time.Duration{0, 10 * time.Minute} {
		t.Run(fmt.Sprint(lifetime), func(t *testing.T) {
			g := newRig(t, func(cfg *Config) { cfg.Loops, cfg.spread = 2, true })
			other, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			var served [2]atomic.Int64
			var ways [2]func(*Mapping, *setup)
			for i, l := range []net.Listener{g.provider, other} {
				password := fmt.Sprint("password", i)
				plan := planWith(t, password, func(c *session.PlanConfig) { c.Lifetime = lifetime })
				ways[i] = func(m *Mapping, _ *setup) { m.Plan, m.Servers = plan, []Server{serverAt(l.Addr())} }
				provider := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
					if _, got, _ := r.BasicAuth(); got != password {
						t.Errorf("provider %d gets the password %q", i, got)
					}
					served[i].Add(1)
				})}
				go provider.Serve(l)
				defer provider.Close()
			}
			g.swap(ways[0])
			stop := make(chan struct{})
			var wg sync.WaitGroup
			for range 4 {
				client := g.client(0)
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						if _, err := io.WriteString(client.conn, get); err != nil {
							t.Error(err)
							return
						}
						answer, err := http.ReadResponse(client.r, nil)
						if err != nil || answer.StatusCode != 200 {
							t.Errorf("got %v, %v", answer, err)
							return
						}
					}
				})
			}
			for i := range 60 {
				to := (i + 1) % 2
				was := served[to].Load()
				g.swap(ways[to])
				await(t, "a request by the new settings", func() bool { return t.Failed() || served[to].Load() > was })
			}
			close(stop)
			wg.Wait()
		})
	}
}
