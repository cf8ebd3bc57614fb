package admin

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"proxymap/relay"
)

// askFrom sends a request from an address of this machine, and returns all that is answered.
func askFrom(t *testing.T, from, to, token string) string {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	conn, err := d.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "+token+"\r\nConnection: close\r\n\r\n") // it may be closed by now
	b, err := io.ReadAll(conn)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatal(err)
	}
	return string(b)
}

// Whose address may not connect gets no byte of an answer; it is counted, and logged once, with how many there were.
func TestAdminAllowFrom(t *testing.T) {
	const token = "secret-0123456789"
	for _, row := range []struct {
		name     string
		on       string
		networks []netip.Prefix
		from     string
		let      bool
	}{
		{"this machine, by default", "127.0.0.1", nil, "127.0.0.9", true},
		{"a network", "127.0.0.1", []netip.Prefix{netip.MustParsePrefix("127.0.0.2/31")}, "127.0.0.3", true},
		{"beside the network", "127.0.0.1", []netip.Prefix{netip.MustParsePrefix("127.0.0.2/31")}, "127.0.0.4", false},
		{"dual-stack, IPv4 that may", "::", []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}, "127.0.0.2", true},
		{"dual-stack, ::/0 does not cover IPv4", "::", []netip.Prefix{netip.MustParsePrefix("::/0")}, "127.0.0.2", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if l, err := net.Listen("tcp", "["+row.on+"]:0"); err != nil {
				t.Skipf("SKIPPED: this machine has no %s: %v", row.on, err)
			} else {
				l.Close()
			}
			r, err := relay.Listen(adminRelay(t))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { r.Shutdown(0); _ = r.Serve() }()
			log, lines := collectLog()
			stop, err := Start(Config{Address: netip.AddrPortFrom(netip.MustParseAddr(row.on), 0), Token: token, AllowFrom: row.networks}, r, log)
			if err != nil {
				t.Fatal(err)
			}
			at := netip.MustParseAddrPort(lines.address(t))
			to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port()).String()
			const times = 3
			for range times {
				got := askFrom(t, row.from, to, token)
				if row.let != strings.HasPrefix(got, "HTTP/1.1 200 ") || !row.let && got != "" {
					t.Fatalf("answered %q", got)
				}
			}
			stop() // what has not been logged is now
			told := strings.Count(lines.String(), "closed unread")
			switch {
			case row.let && told != 0:
				t.Errorf("the log says %s", lines)
			case !row.let && (told < 1 || told > 2 || !strings.Contains(lines.String(), "from="+row.from+" ")):
				t.Errorf("%d lines: %s", told, lines)
			}
		})
	}
}

// Who is turned away is counted, until the statistics begin anew.
func TestMetricsOfTheDoor(t *testing.T) {
	from := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	g := newAdminRigFor(t, "", from, func(cfg *relay.Config) {
		cfg.Mappings[0].AllowFrom = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		cfg.Mappings[1].ProxyProtocol = true
	})
	for i, sends := range []string{"", "GET / HTTP/1.1\r\n\r\n"} {
		conn, err := net.Dial("tcp", g.relay.Ports()[i].String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, sends)
		_ = conn.SetDeadline(time.Now().Add(patience))
		if b, _ := io.ReadAll(conn); len(b) > 0 {
			t.Errorf("answered %q", b)
		}
		conn.Close()
	}
	expect := func(lines ...string) {
		t.Helper()
		_, text := g.do("GET", "/metrics")
		for _, line := range lines {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("the metrics have no line %s", line)
			}
		}
	}
	expect(`proxymap_rejected_total{reason="address"} 1`, `proxymap_rejected_total{reason="proxy-header"} 1`, `proxymap_rejected_total{reason="admin-address"} 0`)
	for range 2 {
		if got := askFrom(t, "127.0.0.2", strings.TrimPrefix(g.url, "http://"), ""); got != "" {
			t.Errorf("answered %q", got)
		}
	}
	expect(`proxymap_rejected_total{reason="address"} 1`, `proxymap_rejected_total{reason="admin-address"} 2`)
	g.do("POST", "/ProxyStats/reset")
	expect(`proxymap_rejected_total{reason="address"} 0`, `proxymap_rejected_total{reason="proxy-header"} 0`, `proxymap_rejected_total{reason="admin-address"} 0`)
}

// 0.0.0.0 is all of IPv4, and nothing of IPv6.
func TestAdminOfIPv4Alone(t *testing.T) {
	r, err := relay.Listen(adminRelay(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { r.Shutdown(0); _ = r.Serve() }()
	log, lines := collectLog()
	stop, err := Start(Config{Address: netip.MustParseAddrPort("0.0.0.0:0"), Token: "secret-0123456789"}, r, log)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if at := netip.MustParseAddrPort(lines.address(t)); !at.Addr().Is4() {
		t.Errorf("listens on %v", at)
	}
}
