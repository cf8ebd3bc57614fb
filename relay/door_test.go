package relay

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"proxymap/relay/allow"
)

// allowing has the ports be for those networks.
func allowing(networks ...string) func(*Config) {
	return func(cfg *Config) {
		for _, n := range networks {
			p, err := allow.Parse(n)
			if err != nil {
				panic(err)
			}
			cfg.Mappings[0].AllowFrom = append(cfg.Mappings[0].AllowFrom, p)
		}
	}
}

// listening has the ports be on an address.
func listening(address string) func(*Config) {
	return func(cfg *Config) { cfg.Mappings[0].Address = netip.MustParseAddr(address) }
}

// clientFrom connects to the first port, whatever address of this machine it is on, from an address.
func (g *rig) clientFrom(from, to string) *peer {
	g.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", netip.AddrPortFrom(netip.MustParseAddr(to), g.relay.Ports()[0].Port()).String())
	if err != nil {
		g.t.Fatal(err)
	}
	return newPeer(g.t, "client from "+from, conn)
}

// expectTurnedAway reads the end of the connection, before which not a byte comes.
func (p *peer) expectTurnedAway() {
	p.t.Helper()
	if b, err := io.ReadAll(p.r); len(b) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
		p.t.Fatalf("%s: got %q (%v); want the end", p.name, b, err)
	}
}

// needsIPv6 skips a test where this machine has no IPv6.
func needsIPv6(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("SKIPPED: no IPv6 on this machine: %v", err)
	}
	l.Close()
}

// Whose address may connect is served, and others are closed before anything is read.
func TestAllowFrom(t *testing.T) {
	for _, row := range []struct {
		name     string
		on       string
		networks []string // none: the default
		from, to string
		served   bool
	}{
		{"this machine, by default", "127.0.0.1", nil, "127.0.0.1", "127.0.0.1", true},
		{"another loopback address, by default", "127.0.0.1", nil, "127.9.9.9", "127.0.0.1", true},
		{"IPv6, by default", "::1", nil, "::1", "::1", true},
		{"one address", "127.0.0.1", []string{"127.0.0.2"}, "127.0.0.2", "127.0.0.1", true},
		{"another than the one", "127.0.0.1", []string{"127.0.0.2"}, "127.0.0.3", "127.0.0.1", false},
		{"a network", "127.0.0.1", []string{"10.0.0.0/8", "127.0.0.2/31"}, "127.0.0.3", "127.0.0.1", true},
		{"beside the network", "127.0.0.1", []string{"10.0.0.0/8", "127.0.0.2/31"}, "127.0.0.4", "127.0.0.1", false},
		{"all addresses", "0.0.0.0", nil, "127.0.0.2", "127.0.0.1", true},
		{"everyone of IPv6, who is IPv4", "0.0.0.0", []string{"::/0"}, "127.0.0.2", "127.0.0.1", false},
		{"IPv6 beside the address", "::1", []string{"::2"}, "::1", "::1", false},
		{"dual-stack, IPv4 that may", "::", []string{"127.0.0.2"}, "127.0.0.2", "127.0.0.1", true},
		{"dual-stack, mapped network", "::", []string{"::ffff:127.0.0.2/127"}, "127.0.0.3", "127.0.0.1", true},
		{"dual-stack, IPv4 that may not", "::", []string{"127.0.0.2"}, "127.0.0.3", "127.0.0.1", false},
		{"dual-stack, ::/0 does not cover IPv4", "::", []string{"::/0"}, "127.0.0.2", "127.0.0.1", false},
		{"dual-stack, ::/0 covers IPv6", "::", []string{"::/0"}, "::1", "::1", true},
		{"dual-stack, 0.0.0.0/0 does not cover IPv6", "::", []string{"0.0.0.0/0"}, "::1", "::1", false},
		{"dual-stack, by default", "::", nil, "127.0.0.2", "127.0.0.1", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			if strings.Contains(row.on, ":") {
				needsIPv6(t)
			}
			g := newRig(t, listening(row.on), allowing(row.networks...), withAPI("portmapper"))
			before := openDescriptors(t)
			for range 2 { // the second time as the first
				c := g.clientFrom(row.from, row.to)
				if row.served {
					c.send("GET http://portmapper/session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n")
					if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
						t.Fatalf("got %q", head)
					}
				} else {
					c.expectTurnedAway()
				}
				c.close()
			}
			await(t, "all is closed", func() bool { return g.relay.Connections() == 0 && openDescriptors(t) <= before }) // less, if an earlier test still closed some
			want := Stats{Traffic: Traffic{Connections: 2}}
			if !row.served {
				want = Stats{AddressRejected: 2}
			}
			if s := g.relay.Stats(); s.AddressRejected != want.AddressRejected || s.Connections != want.Connections || s.HeaderRejected != 0 {
				t.Errorf("%d rejected for their address, %d connections; want %d, %d", s.AddressRejected, s.Connections, want.AddressRejected, want.Connections)
			}
			if n := g.relay.admission.served.Load(); n != 0 {
				t.Errorf("%d places are taken still", n)
			}
		})
	}
}

// The Session API is behind the same door, and so are SOCKS clients: what they have sent already changes nothing.
func TestTurnedAwayWhateverIsSent(t *testing.T) {
	g := newRig(t, allowing("127.0.0.2"), withAPI("portmapper"))
	session := g.relay.ports()[0].slot.Last()
	for _, text := range []string{get, connect, "\x05\x01\x00", "POST http://portmapper/session/new HTTP/1.1\r\nHost: portmapper\r\n\r\n"} {
		c := g.clientFrom("127.0.0.3", "127.0.0.1")
		_, _ = io.WriteString(c.conn, text) // it may have been closed by now
		c.expectTurnedAway()
	}
	if s := g.relay.Stats(); s.Requests != 0 || s.AddressRejected != 4 {
		t.Errorf("%d requests, %d rejected; want 0, 4", s.Requests, s.AddressRejected)
	}
	if now := g.relay.ports()[0].slot.Last(); now != session {
		t.Error("the session has changed")
	}
	if g.relay.ResetStats(); g.relay.Stats().AddressRejected != 0 {
		t.Error("a reset of the statistics does not reset what was rejected")
	}
}

// Many who are turned away make one line of the log, with an address, the port and how many, until the minute is over or
// the relay ends.
func TestTurnedAwayIsLoggedOnce(t *testing.T) {
	const many, text = 50, "closed unread, for their address is not among those that may connect"
	var lines logLines
	g := newRig(t, allowing("127.0.0.2"), lines.in)
	g.clientFrom("127.0.0.3", "127.0.0.1").expectTurnedAway()
	await(t, "the first is told", func() bool { return lines.count(text) == 1 })
	if want := "from=127.0.0.3 port=" + g.relay.Ports()[0].String() + " connections=1"; lines.count(want) != 1 {
		t.Errorf("%q is not in %s", want, lines.text.String())
	}
	for range many - 1 {
		g.clientFrom("127.0.0.4", "127.0.0.1").expectTurnedAway()
	}
	await(t, "all are counted", func() bool { return g.relay.Stats().AddressRejected == many })
	if n := lines.count(text); n != 1 {
		t.Errorf("%d lines", n)
	}
	g.relay.Shutdown(0)
	<-g.returned
	if want := "from=127.0.0.4 port=" + g.relay.Ports()[0].String() + " connections=49"; lines.count(text) != 2 || lines.count(want) != 1 {
		t.Errorf("%q is not in %s", want, lines.text.String())
	}
}

// Who is turned away while there is no room takes none: those before it are served.
func TestTurnedAwayAboveTheBudget(t *testing.T) {
	g := newRig(t, allowing("127.0.0.2"), func(cfg *Config) { cfg.Limits.Connections = 1 })
	g.echo()
	c := g.clientFrom("127.0.0.2", "127.0.0.1")
	c.send(get)
	c.expect(ok)
	for range 5 {
		g.clientFrom("127.0.0.3", "127.0.0.1").expectTurnedAway()
	}
	c.send(get)
	c.expect(ok)
	if served, reserved := g.relay.admission.served.Load(), g.relay.admission.reserved.Load(); served != 1 || reserved != 0 {
		t.Errorf("%d places are taken, and %d of the reserve; want 1 and 0", served, reserved)
	}
}

// A network that is none is no list of nobody.
func TestAllowFromOfNothing(t *testing.T) {
	cfg := Config{Mappings: []Mapping{{Address: netip.MustParseAddr("127.0.0.1"), Plan: newRig(t).relay.table.Load().mappings[0].Plan, AllowFrom: []netip.Prefix{{}}}}}
	if r, err := Listen(cfg); err == nil || !strings.Contains(err.Error(), "one of the networks that may connect is none") {
		t.Errorf("got %v", err)
		r.Close()
	}
}
