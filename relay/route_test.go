package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"proxymap/relay/hostrule"
	"proxymap/session"
	"proxymap/session/credential"
)

// withRules puts rules before a rig's mapping.
func withRules(t *testing.T, rules ...hostrule.Rule) func(*Config) {
	t.Helper()
	r, err := hostrule.New(rules, false)
	if err != nil {
		t.Fatal(err)
	}
	return func(cfg *Config) { cfg.Rules = r }
}

// knows has the names that a rig looks up stand for loopback addresses, first ::1 where the test's provider does not
// listen. Others are unknown.
func knows(names ...string) func(*Config) {
	return func(cfg *Config) {
		cfg.Mappings[0].AllowLocalTargets = true
		cfg.lookup = func(_ context.Context, host string, _ func([]netip.Addr)) ([]netip.Addr, error) {
			for _, name := range names {
				if host == name {
					return []netip.Addr{netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1")}, nil
				}
			}
			return nil, errors.New("no such host")
		}
	}
}

func bypass(cfg *Config) { cfg.Mappings[0].Action, cfg.Mappings[0].Servers = hostrule.Bypass, nil }

// port is that of the rig's provider, which plays targets here.
func (g *rig) port() int { return g.provider.Addr().(*net.TCPAddr).Port }

// With Bypass the relay itself is the proxy: names are looked up, addresses tried in turn, and requests arrive as at an
// origin server.
func TestBypass(t *testing.T) {
	g := newRig(t, knows("target.example"), bypass)
	c := g.client(0)
	request := fmt.Sprintf("POST http://Target.Example:%d/p HTTP/1.1\r\nHost: Target.Example:%[1]d\r\n%[2]sContent-Length: 4\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\n\r\nbody",
		g.port(), basic("a", "b"))
	forwarded := fmt.Sprintf("POST /p HTTP/1.1\r\nHost: Target.Example:%d\r\nContent-Length: 4\r\n\r\nbody", g.port())
	c.send(request)
	u := g.upstream()
	u.expect(forwarded)
	u.send(ok)
	c.expect(ok)
	c.send(request) // over the same connection
	u.expect(forwarded)
	u.send(ok)
	c.expect(ok)

	c = g.client(0)
	c.send(fmt.Sprintf("CONNECT target.example:%d HTTP/1.1\r\nHost: target.example:%[1]d\r\n\r\nearly", g.port()))
	u = g.upstream()
	u.expect("early")
	c.expect(granted)
	u.send("late")
	c.expect("late")

	c = g.client(0)
	c.send(fmt.Sprintf("\x04\x01%s\x7f\x00\x00\x01\x00x", string([]byte{byte(g.port() >> 8), byte(g.port())})))
	u = g.upstream()
	u.expect("x")
	c.expect(answer4)
}

// What comes from the target itself goes to the client as from a proxy: without hop-by-hop fields, and with what is true
// of the client's connection.
func TestBypassResponses(t *testing.T) {
	g := newRig(t, knows("target.example"), bypass)
	const hops = "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\n"
	for _, row := range []struct{ version, response, want string }{
		{"1.1", "HTTP/1.1 200 OK\r\n" + hops + "Content-Length: 2\r\n\r\nok", ok},
		{"1.1", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok"},
		{"1.0", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + hops + "\r\n2\r\nok\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok"},
	} {
		c := g.client(0)
		c.send(fmt.Sprintf("GET http://target.example:%d/ HTTP/%s\r\nHost: a\r\n\r\n", g.port(), row.version))
		u := g.upstream()
		u.head()
		u.send(row.response)
		u.fin()
		c.expect(row.want)
	}
	c := g.client(0)
	c.send(fmt.Sprintf("GET http://target.example:%d/ HTTP/1.1\r\nHost: a\r\n\r\n", g.port()))
	u := g.upstream()
	u.head()
	u.send("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"evil\"\r\nContent-Length: 0\r\n\r\n")
	c.expectAnswer(502, "upstream-bad-response", "407")
}

// An IPv4 address in IPv6 form is the same host to the rules.
func TestRulesSeeThroughMapping(t *testing.T) {
	g := newRig(t, withRules(t, hostrule.Rule{Host: "192.0.2.7", Action: hostrule.Deny, Server: -1}, hostrule.Rule{Pattern: `^198\.51\.`, Action: hostrule.Deny, Server: -1}))
	for _, host := range []string{"192.0.2.7", "[::ffff:192.0.2.7]", "[::ffff:c000:207]", "[0:0:0:0:0:FFFF:192.0.2.7]", "[::ffff:198.51.100.1]"} {
		for _, request := range []string{"GET http://%s/ HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT %s:443 HTTP/1.1\r\nHost: a\r\n\r\n"} {
			c := g.client(0)
			c.send(fmt.Sprintf(request, host))
			c.expectAnswer(403, "denied", "host rules")
		}
	}
}

// Each new session of a port goes to the next server.
func TestSessionsInTurn(t *testing.T) {
	g := newRig(t, withAPI("portmapper"), func(cfg *Config) {
		m := &cfg.Mappings[0]
		m.Servers = []Server{m.Servers[0], m.Servers[0], m.Servers[0]}
	})
	var pins []int
	for range 6 {
		g.call(renewSession)
		pins = append(pins, g.relay.ports()[0].slot.Server())
	}
	if want := []int{0, 1, 2, 0, 1, 2}; !slices.Equal(pins, want) {
		t.Errorf("the sessions are pinned to the servers %v; want %v", pins, want)
	}
}

// What cannot be reached is told as of the target.
func TestBypassFailures(t *testing.T) {
	dead := deadServer(t)
	g := newRig(t, knows("target.example"), bypass)
	for _, row := range []struct {
		target string
		status int
		class  string
		why    string
	}{
		{fmt.Sprintf("target.example:%d", dead.Port), 502, "upstream-refused", "dial target target.example:"},
		{fmt.Sprintf("127.0.0.1:%d", dead.Port), 502, "upstream-refused", "connection refused"},
		{"unknown.example:80", 502, "upstream-dns", "look up target unknown.example:80: no such host"},
	} {
		for _, request := range []string{"CONNECT %s HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://%s/ HTTP/1.1\r\nHost: a\r\n\r\n"} {
			c := g.client(0)
			c.send(fmt.Sprintf(request, row.target))
			c.expectAnswer(row.status, row.class, row.why)
			c.expectEnd()
		}
	}
}

// The relay's own ports are no targets, by whatever name, and local addresses only where that is allowed.
func TestForbiddenTargets(t *testing.T) {
	other := netip.MustParseAddrPort("127.0.0.1:9")
	g := newRig(t, knows("target.example"), bypass, func(cfg *Config) { cfg.OtherPorts = []netip.AddrPort{other} })
	own := g.relay.Ports()[0].Port()
	for _, target := range []string{
		fmt.Sprintf("127.0.0.1:%d", own), fmt.Sprintf("target.example:%d", own), fmt.Sprintf("0.0.0.0:%d", own),
		fmt.Sprintf("[::ffff:127.0.0.1]:%d", own), other.String(),
	} {
		c := g.client(0)
		c.send("CONNECT " + target + " HTTP/1.1\r\nHost: a\r\n\r\n")
		c.expectAnswer(403, "denied", "port of this relay itself")
	}
	g = newRig(t, knows("target.example"), bypass, func(cfg *Config) { cfg.Mappings[0].AllowLocalTargets = false })
	for _, host := range []string{"127.0.0.1", "[::1]", "target.example", "0.0.0.0", "169.254.1.2", "[fe80::1]", "[::ffff:127.0.0.1]"} {
		c := g.client(0)
		c.send(fmt.Sprintf("CONNECT %s:%d HTTP/1.1\r\nHost: a\r\n\r\n", host, g.port()))
		c.expectAnswer(403, "denied", "an address of this machine or its link")
	}
}

// Each request goes where the rules say, on one connection too.
func TestRulesForEachRequest(t *testing.T) {
	g := newRig(t, knows("direct.example"), withRules(t,
		hostrule.Rule{Host: "denied.example", Action: hostrule.Deny, Server: -1},
		hostrule.Rule{Pattern: `^direct\.`, Action: hostrule.Bypass, Server: -1},
		hostrule.Rule{Host: "own.example", Server: 0},
		hostrule.Rule{Host: "moved.example", OverrideHost: "new.example", OverridePort: 8080, Server: -1},
		hostrule.Rule{Host: "moved6.example", OverrideHost: "2001:db8::1", Server: -1},
	), func(cfg *Config) { cfg.RuleServers = []Server{cfg.Mappings[0].Servers[0]} })
	req := func(host string) string { return "GET http://" + host + "/ HTTP/1.1\r\nHost: " + host + "\r\n\r\n" }
	credentials := basic("user-session-id1", "pass")
	c := g.client(0)
	var u *peer
	for _, step := range []struct{ host, line, authority, credentials string }{
		{"a.example", "GET http://a.example/ HTTP/1.1", "a.example", credentials},
		{"own.example", "GET http://own.example/ HTTP/1.1", "own.example", credentials},
		{"moved.example:81", "GET http://new.example:8080/ HTTP/1.1", "new.example:8080", credentials},
		{"moved6.example", "GET http://[2001:db8::1]/ HTTP/1.1", "[2001:db8::1]", credentials},
		{fmt.Sprintf("direct.example:%d", g.port()), "GET / HTTP/1.1", fmt.Sprintf("direct.example:%d", g.port()), ""},
		{"a.example", "GET http://a.example/ HTTP/1.1", "a.example", credentials},
	} {
		c.send(req(step.host))
		if u == nil || !strings.HasPrefix(step.host, "moved") {
			u = g.upstream() // its way is another than the last one's; those that are moved share one
		} else if step.host == "moved.example:81" {
			u = g.upstream() // behind a rule's own server
		}
		u.expect(step.line + "\r\nHost: " + step.authority + "\r\n" + step.credentials + "\r\n")
		u.send(ok)
		c.expect(ok)
	}
	c.send(req("denied.example"))
	c.expectAnswer(403, "denied", "host rules")
	c.expectEnd()

	c = g.client(0)
	c.send("CONNECT moved.example:443 HTTP/1.1\r\nHost: moved.example:443\r\n\r\n")
	u = g.upstream()
	u.expect("CONNECT new.example:8080 HTTP/1.1\r\nHost: new.example:8080\r\n" + credentials + "\r\n")
}

// A mapping may do without the rules, and have its own action for what none matches.
func TestDefaultAction(t *testing.T) {
	g := newRig(t, withRules(t, hostrule.Rule{Host: "a.example", Action: hostrule.Deny, Server: -1}), func(cfg *Config) { cfg.Mappings[0].IgnoreRules = true })
	g.asked("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n")
	g = newRig(t, withRules(t, hostrule.Rule{Host: "a.example", Server: -1}), func(cfg *Config) { cfg.Mappings[0].Action = hostrule.Deny })
	g.asked("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n")
	c := g.client(0)
	c.send(get)
	c.expectAnswer(403, "denied", "")
}

// withClients says what a rig demands of its clients.
func withClients(change func(*session.PlanConfig)) func(*Config) {
	return func(cfg *Config) {
		plan := session.PlanConfig{
			Account: &credential.Account{Username: "user", Password: "pa:ss"}, Servers: make([]*credential.Account, 1),
		}
		change(&plan)
		p, err := session.NewPlan(plan)
		if err != nil {
			panic(err)
		}
		cfg.Mappings[0].Plan = p
	}
}

// Clients that are not let in are told so in their protocol, before anything else: the Session API and the rules too.
func TestClientAuthentication(t *testing.T) {
	g := newRig(t, withAPI("portmapper"), withClients(func(p *session.PlanConfig) { p.Require, p.Verify, p.Set = true, true, true }))
	with := func(request, field string) string {
		return strings.Replace(request, "\r\n\r\n", "\r\n"+field+"\r\n", 1)
	}
	good, wrong := basic("user", "pa:ss"), basic("user", "pa")
	for _, request := range []string{get, connect, askSession, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"} {
		for field, why := range map[string]string{"": "wants a user name", wrong: "is wrong", "Proxy-Authorization: Basic !\r\n": "is wrong", "Proxy-Authorization: Bearer x\r\n": "wants a user name"} {
			c := g.client(0)
			c.send(with(request, field))
			head := c.head()
			if !strings.HasPrefix(head, "HTTP/1.1 407 ") || !strings.Contains(head, "\r\nProxy-Authenticate: Basic realm=\"proxymap\"\r\n") {
				t.Fatalf("%q with %q: got %q; want 407", request, field, head)
			}
			if text, _ := c.r.ReadString('\n'); !strings.Contains(text, why) {
				t.Errorf("with %q: got %q; want it to say %q", field, text, why)
			}
		}
	}
	c, u := g.asked(with(get, good))
	u.send(ok)
	c.expect(ok)
	c.send(get) // each request is asked anew
	c.expectAnswer(407, "proxy-auth", "wants")
	c = g.client(0)
	c.send(with(askSession, good))
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		t.Errorf("the Session API answers %q", head)
	}
	for _, row := range []struct{ says, hears string }{
		{"\x05\x01\x00", "\x05\xff"},
		{"\x05\x01\x02\x01\x04user\x02pa", "\x05\x02\x01\x01"},
		{socks4Name, "\x00\x5b\x00\x00\x00\x00\x00\x00"},
	} {
		c := g.client(0)
		c.send(row.says)
		c.expect(row.hears)
		c.expectEnd()
	}
	c = g.client(0)
	c.send("\x05\x01\x02\x01\x04user\x05pa:ss" + socks5Name)
	c.expect("\x05\x02\x01\x00")
	g.upstream().expect("CONNECT example.com:443 HTTP/1.1\r\n")
}

// Where nobody asks for credentials, and none are passed on, it does not matter what they are.
func TestMalformedCredentialsNobodyAskedFor(t *testing.T) {
	request := strings.Replace(get, "\r\n\r\n", "\r\nProxy-Authorization: Basic !\r\n\r\n", 1)
	g := newRig(t)
	c := g.client(0)
	c.send(request)
	g.upstream().expect(get[:len(get)-2] + credentialsOf(1) + "\r\n")

	g = newRig(t, withClients(func(*session.PlanConfig) {}))
	c = g.client(0)
	c.send(request)
	c.expectAnswer(407, "proxy-auth", "is wrong")
}

// Without credentials of ours the client's own go upstream, in the upstream's protocol, unless they are to be removed.
func TestPassThrough(t *testing.T) {
	field := basic("me-x", "p:w")
	request := strings.Replace(get, "\r\n\r\n", "\r\n"+field+"\r\n", 1)
	g := newRig(t, withClients(func(*session.PlanConfig) {}))
	c := g.client(0)
	c.send(request)
	u := g.upstream()
	u.expect(request)
	u.send(ok)
	c.expect(ok)
	c.send(get) // and only with the request that brought them
	u.expect(get)

	c = g.client(0)
	c.send("\x05\x01\x02\x01\x04me-x\x03p:w" + socks5Name)
	c.expect("\x05\x02\x01\x00")
	u = g.upstream()
	if head := u.head(); !strings.Contains(head, field) {
		t.Errorf("the provider got %q; want %q in it", head, field)
	}

	g = newRig(t, upstreamOf(SOCKS5), withClients(func(*session.PlanConfig) {}))
	c = g.client(0)
	c.send(request)
	if _, credentials := g.upstream().socksServer(); credentials != "me-x:p:w" {
		t.Errorf("the SOCKS server got %q", credentials)
	}

	g = newRig(t, withClients(func(p *session.PlanConfig) { p.Remove = true }))
	c = g.client(0)
	c.send(request)
	g.upstream().expect(get)
}

// A provider's 407 is the client's where the credentials are.
func TestPassThroughRefused(t *testing.T) {
	const answer = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n"
	g := newRig(t, withClients(func(*session.PlanConfig) {}))
	c, u := g.asked(get)
	u.send(answer)
	c.expect(answer)
}

// An upstream server that is to be sent addresses gets them, IPv4 first; a plain request to an HTTP proxy keeps its name.
func TestResolveIP(t *testing.T) {
	resolve := func(cfg *Config) { cfg.Mappings[0].Servers[0].ResolveIP = true }
	for kind, want := range map[ServerType]string{SOCKS4: "127.0.0.1:443", SOCKS5: "127.0.0.1:443"} {
		g := newRig(t, knows("example.com"), upstreamOf(kind), resolve)
		c := g.client(0)
		c.send(connect)
		if target, _ := g.upstream().socksServer(); target != want {
			t.Errorf("server type %d got %q; want %q", kind, target, want)
		}
		c.expect(granted)
	}
	g := newRig(t, knows("example.com"), resolve)
	c := g.client(0)
	c.send(connect)
	g.upstream().expect("CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: 127.0.0.1:443\r\n")
	c = g.client(0)
	c.send(get)
	g.upstream().expect("GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n")
	c = g.client(0)
	c.send("CONNECT unknown.example:443 HTTP/1.1\r\nHost: a\r\n\r\n")
	c.expectAnswer(502, "upstream-dns", "look up target unknown.example:443: no such host")
}

// A rule's own server and those that are listed need not agree on who looks names up: those that are sent names get them
// even if nobody here knows them.
func TestResolveIPOfRules(t *testing.T) {
	const unknown = "CONNECT unknown.example:443 HTTP/1.1\r\nHost: unknown.example:443\r\n"
	const ruled = "CONNECT ruled.example:443 HTTP/1.1\r\nHost: ruled.example:443\r\n"
	for _, byRule := range []bool{true, false} {
		g := newRig(t, knows(), withRules(t, hostrule.Rule{Host: "ruled.example", Server: 0}), func(cfg *Config) {
			cfg.RuleServers = []Server{cfg.Mappings[0].Servers[0]}
			cfg.RuleServers[0].ResolveIP, cfg.Mappings[0].Servers[0].ResolveIP = byRule, !byRule
		})
		named, resolved := unknown, ruled
		if !byRule {
			named, resolved = ruled, unknown
		}
		c := g.client(0)
		c.send(named + "\r\n")
		g.upstream().expect(named)
		c = g.client(0)
		c.send(resolved + "\r\n")
		c.expectAnswer(502, "upstream-dns", "no such host")
	}
}

// SOCKS4 has no IPv6, and says so.
func TestSOCKS4CannotIPv6(t *testing.T) {
	g := newRig(t, upstreamOf(SOCKS4))
	c := g.client(0)
	c.send("CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: a\r\n\r\n")
	c.expectAnswer(502, "upstream-unsupported", "SOCKS4 takes IPv4")
}

// The hosts that are remembered do not grow without end.
func TestTargetsAreBounded(t *testing.T) {
	var all targets
	first := all.of([]byte("a.example"), 80)
	if all.of([]byte("A.Example"), 80) != first || all.of([]byte("a.example"), 81) == first {
		t.Error("a target is host, in any case, and port")
	}
	for i := range 3 * maxTargets {
		all.of(fmt.Appendf(nil, "%d.example", i), 80)
	}
	if n := len(all.byID); n > maxTargets || n < maxTargets/2 {
		t.Errorf("%d targets are remembered; want at most %d", n, maxTargets)
	}
}
