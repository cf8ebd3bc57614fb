package relay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"proxymap/httpparse"
	"proxymap/relay/hostrule"
)

// What has one plain meaning is served. An HTTP proxy gets it as it came, but for what no proxy may pass on.
func TestRequestsPutRight(t *testing.T) {
	for _, row := range []struct{ name, sent, passed string }{
		{"CONNECT without Host", "CONNECT example.com:443 HTTP/1.1\r\nUser-Agent: a\r\n\r\n",
			"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nUser-Agent: a\r\n"},
		{"absolute-form without Host", "GET http://example.com:81/a HTTP/1.1\r\nA: b\r\n\r\n",
			"GET http://example.com:81/a HTTP/1.1\r\nHost: example.com:81\r\nA: b\r\n"},
		{"HTTP/1.0 without Host", "GET http://example.com/ HTTP/1.0\r\nA: b\r\n\r\n", "GET http://example.com/ HTTP/1.0\r\nA: b\r\n"},
		{"CONNECT with a length of 0", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nContent-Length: 0\r\nA: b\r\n\r\n",
			"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nA: b\r\n"},
		{"CONNECT of HTTP/1.0 with a length of 0", "CONNECT example.com:443 HTTP/1.0\r\nContent-Length: 0\r\nProxy-Connection: Keep-Alive\r\nPragma: no-cache\r\n\r\n",
			"CONNECT example.com:443 HTTP/1.0\r\nProxy-Connection: Keep-Alive\r\nPragma: no-cache\r\n"},
		{"ws", "GET ws://example.com/chat HTTP/1.1\r\nHost: example.com\r\n\r\n", "GET ws://example.com/chat HTTP/1.1\r\nHost: example.com\r\n"},
		{"ws with Upgrade", "GET ws://example.com:8080/chat?a HTTP/1.1\r\nHost: example.com:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
			"GET ws://example.com:8080/chat?a HTTP/1.1\r\nHost: example.com:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"},
		{"user information", "GET http://me:pw@example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n"},
		{"user information that looks like a host", "GET http://evil.example:80@example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n",
			"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n"},
		{"user information that is none", "GET http://example.com/@evil.example HTTP/1.1\r\nHost: example.com\r\n\r\n",
			"GET http://example.com/@evil.example HTTP/1.1\r\nHost: example.com\r\n"},
		{"fragment", "GET http://example.com/a?b#c?d HTTP/1.1\r\nHost: example.com\r\n\r\n", "GET http://example.com/a?b HTTP/1.1\r\nHost: example.com\r\n"},
		{"fragment behind the host", "GET http://example.com#@evil.example/ HTTP/1.1\r\nHost: example.com\r\n\r\n",
			"GET http://example.com HTTP/1.1\r\nHost: example.com\r\n"},
		{"UTF-8", "GET http://bücher.example/ä HTTP/1.1\r\nHost: bücher.example\r\n\r\n",
			"GET http://xn--bcher-kva.example/ä HTTP/1.1\r\nHost: xn--bcher-kva.example\r\n"},
		{"UTF-8 in capitals and wide dots", "CONNECT BÜCHER。example:443 HTTP/1.1\r\n\r\n",
			"CONNECT xn--bcher-kva.example:443 HTTP/1.1\r\nHost: xn--bcher-kva.example:443\r\n"},
		{"UTF-8 in Host alone", "GET http://xn--bcher-kva.example/ HTTP/1.1\r\nHost: bücher.example\r\n\r\n",
			"GET http://xn--bcher-kva.example/ HTTP/1.1\r\nHost: xn--bcher-kva.example\r\n"},
		{"UTF-8 and an underscore", "GET http://_a.bücher.example/ HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET http://_a.xn--bcher-kva.example/ HTTP/1.1\r\nHost: _a.xn--bcher-kva.example\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t)
			c := g.client(0)
			c.send(row.sent)
			u := g.upstream()
			u.expect(row.passed + credentialsOf(1) + "\r\n")
			if strings.HasPrefix(row.sent, "CONNECT") || strings.Contains(row.sent, "Upgrade") {
				answer := granted
				if !strings.HasPrefix(row.sent, "CONNECT") {
					answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
				}
				u.send(answer)
				c.expect(answer)
				c.send("a")
				u.expect("a")
				return
			}
			u.send(ok)
			c.expect(ok)
		})
	}
}

// A target gets the same in origin-form. Where the head came in pieces, or with the next one behind it, it is put right
// just so.
func TestRequestsPutRightForTarget(t *testing.T) {
	for _, row := range []struct{ name, target, fields, line string }{
		{"no Host", "http://target.example:PORT/a", "", "/a"},
		{"ws", "ws://target.example:PORT/a", "Host: a\r\n", "/a"},
		{"user information and fragment", "http://me:pw@target.example:PORT/a?b#c", "Host: a\r\n", "/a?b"},
		{"fragment without a path", "http://target.example:PORT#c", "Host: a\r\n", "/"},
		{"wide letters", "http://ｔａｒｇｅｔ.example:PORT/", "Host: a\r\n", "/"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t, knows("target.example"), bypass)
			port := fmt.Sprint(g.port())
			sent := strings.ReplaceAll("GET "+row.target+" HTTP/1.1\r\n"+row.fields+"\r\n", "PORT", port)
			want := "GET " + row.line + " HTTP/1.1\r\nHost: target.example:" + port + "\r\n\r\n"
			c := g.client(0)
			c.send(sent + sent)
			u := g.upstream()
			for range 2 {
				u.expect(want)
				u.send(ok)
				c.expect(ok)
			}
			c.send(strings.Split(sent, "")...)
			u.expect(want)
			u.send(ok)
			c.expect(ok)
		})
	}
}

// What could be read in two ways, or cannot be done, is 400, and says why. Nothing of it goes upstream.
func TestRequestsRefused(t *testing.T) {
	const host = " HTTP/1.1\r\nHost: example.com\r\n\r\n"
	for _, row := range []struct{ name, sent, why string }{
		{"no Host in origin-form", "GET / HTTP/1.1\r\n\r\n", "neither in its target nor in a Host field"},
		{"CONNECT with a length", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nContent-Length: 1\r\n\r\nx", "more than 0"},
		{"CONNECT with chunks", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding"},
		{"https", "GET https://example.com/" + host, "use CONNECT, as curl and browsers do; axios does with the options proxy: false and httpsAgent"},
		{"wss", "GET wss://example.com/" + host, "use CONNECT"},
		{"ftp", "GET ftp://example.com/" + host, "neither http nor ws; use CONNECT"},
		{"two @", "GET http://me@evil.example@example.com/" + host, "another @, a backslash or a bracket, so readers differ about the host; send the host without a user name"},
		{"backslash in user information", "GET http://example.com\\@evil.example/" + host, "a backslash or a bracket, so readers differ about the host; send the host without"},
		{"backslash in the host", "GET http://example.com\\evil.example/" + host, "neither a name nor an IP address; a host is a name of letters"},
		{"user information in CONNECT", "CONNECT me@example.com:443" + host, "without user information; send the host without"},
		{"user name and password in CONNECT", "CONNECT me:pw@example.com:443" + host, "without user information; send the host without"},
		{"fragment in CONNECT", "CONNECT example.com:443#a" + host, "port"},
		{"backslash in CONNECT", "CONNECT example.com\\:443" + host, "neither a name nor an IP address"},
		{"user information in Host", "GET http://example.com/ HTTP/1.1\r\nHost: me@example.com\r\n\r\n", "it has user information; send the host without"},
		{"fragment in Host", "GET http://example.com/ HTTP/1.1\r\nHost: example.com#a\r\n\r\n", "Host is not"},
		{"backslash in Host", "GET http://example.com/ HTTP/1.1\r\nHost: example.com\\\r\n\r\n", "host or host:port; a host is a name of letters"},
		{"no form of a target", "GET example.com/" + host, "this is a proxy port: the request-target has none of the forms of RFC 9112 section 3.2; send an absolute request-target"},
		{"another protocol", "EHLO example.com\r\n", "not an HTTP request line; this port is an HTTP proxy, with http:// before its address"},
		{"Latin-1", "GET http://b\xfccher.example/" + host, "neither a name nor an IP address"},
		{"overlong UTF-8", "GET http://a\xc0\xaeexample/" + host, "neither a name nor an IP address"},
		{"surrogate in UTF-8", "GET http://a\xed\xa0\x80/" + host, "neither a name nor an IP address"},
		{"replacement character", "GET http://a\ufffdb.example/" + host, "internationalized domain name"},
		{"unassigned code point", "GET http://a\u0378b.example/" + host, "internationalized domain name"},
		{"nothing but a soft hyphen", "GET http://\u00ad/" + host, "internationalized domain name"},
		{"wide slash", "GET http://a／b.example/" + host, "internationalized domain name"},
		{"wide @", "GET http://a＠b.example/" + host, "internationalized domain name"},
		{"wide percent sign", "GET http://a％b.example/" + host, "internationalized domain name"},
		{"wide colon", "GET http://a：81/" + host, "internationalized domain name"},
		{"wide brackets", "GET http://［a］/" + host, "internationalized domain name"},
		{"the sign for c/o", "GET http://a℀b.example/" + host, "internationalized domain name"}, // a/c
		{"wide space", "GET http://a\u3000b.example/" + host, "internationalized domain name"},
		{"letters that run both ways", "GET http://aא.example/" + host, "internationalized domain name"},
		{"a joiner that joins nothing", "GET http://a\u200db.example/" + host, "internationalized domain name"},
		{"an A-label that is none, beside UTF-8", "GET http://xn--ü.example/" + host, "internationalized domain name"},
		{"a label of 64 bytes", "GET http://" + strings.Repeat("a", 64) + ".example/" + host, "63 bytes between dots"},
		{"a label of 64 bytes in CONNECT", "CONNECT " + strings.Repeat("a", 64) + ":443" + host, "63 bytes between dots"},
		{"a label of 64 bytes in Host", "GET http://example.com/ HTTP/1.1\r\nHost: " + strings.Repeat("a", 64) + "\r\n\r\n", "63 bytes between dots"},
		{"a label of 64 bytes in ASCII", "GET http://ü" + strings.Repeat("a", 57) + ".example/" + host, "63 bytes between dots"},
		{"a name of 254 bytes", "GET http://" + strings.Repeat("a.", 126) + "aa/" + host, "253 in all"},
		{"a name of 254 bytes in ASCII", "GET http://ü" + strings.Repeat(".a", 123) + "a" + "/" + host, "253 in all"},
		{"a name of 254 bytes in ASCII in Host", "GET http://example.com/ HTTP/1.1\r\nHost: ü" + strings.Repeat(".a", 123) + "a" + "\r\n\r\n", "253 in all"},
		{"UTF-8 that is no name in Host alone", "GET http://example.com/ HTTP/1.1\r\nHost: a／b\r\n\r\n", "internationalized domain name"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t)
			c := g.client(0)
			c.send(row.sent + get)
			answer := c.expectAnswer(400, "bad-request", row.why)
			if hint := "this port is an HTTP proxy"; strings.Contains(answer, hint) != strings.Contains(row.why, hint) {
				t.Errorf("got %q; want a hint at the port where it may be taken for another's, and nowhere else", answer)
			}
			c.expectEnd()
		})
	}
}

// Where user information stood, or a host in UTF-8, the rules, the counters, what is looked up and what is local see the one
// host that the request goes to.
func TestAllSeeOneHost(t *testing.T) {
	asked := make(chan string, 10)
	looksUp := func(cfg *Config) {
		cfg.Mappings[0].AllowLocalTargets = true
		cfg.lookup = func(_ context.Context, host string, _ func([]netip.Addr)) ([]netip.Addr, error) {
			if asked <- host; host != "xn--bcher-kva.example" {
				return nil, errors.New("no such host")
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
	}
	rules := withRules(t,
		hostrule.Rule{Host: "xn--dnied-bsa.example", Action: hostrule.Deny, Server: -1}, hostrule.Rule{Pattern: `^192\.0\.2\.`, Action: hostrule.Deny, Server: -1},
		hostrule.Rule{Host: "xn--bcher-kva.example", Action: hostrule.Bypass, Server: -1})
	g := newRig(t, rules, looksUp, func(cfg *Config) { cfg.HostStats = true })
	for _, target := range []string{"dénied.example", "DÉNIED.example", "xn--dnied-bsa.example", "a.example@dénied.example", "１９２.０.2.7", "192。0。2。7", "192.0.2.7"} {
		c := g.client(0)
		c.send("GET http://" + target + "/ HTTP/1.1\r\n\r\n")
		c.expectAnswer(403, "denied", "host rules")
	}
	for _, says := range []string{"\x05\x01\x00\x05\x01\x00\x03\x0fd\u00e9nied.example\x00\x50", "\x05\x01\x00\x05\x01\x00\x03\x0c１92.0.2.25\x00\x50"} {
		c := g.client(0)
		c.send(says)
		c.expect("\x05\x00\x05\x02" + answer5[2:])
	}
	c := g.client(0)
	c.send(fmt.Sprintf("GET http://me:dénied.example@bücher.example:%d/#a HTTP/1.1\r\nHost: dénied.example\r\n\r\n", g.port()))
	u := g.upstream()
	u.expect(fmt.Sprintf("GET / HTTP/1.1\r\nHost: xn--bcher-kva.example:%d\r\n\r\n", g.port()))
	u.send(ok)
	c.expect(ok)
	if first, others := <-asked, len(asked); first != "xn--bcher-kva.example" || others != 0 {
		t.Errorf("%q is looked up, and %d others; want the A-label alone", first, others)
	}
	await(t, "the host to have been counted", func() bool {
		list, _ := g.relay.HostStats()
		return len(list) == 1 && list[0].Host == "xn--bcher-kva.example" && list[0].Bypassed == 1
	})
}

// Digits of other widths are those of an address, and an address of this machine is one however it is written.
func TestLocalTargetsInUnicode(t *testing.T) {
	g := newRig(t, knows("target.example"), bypass, func(cfg *Config) { cfg.Mappings[0].AllowLocalTargets = false })
	for _, host := range []string{"１２７.0.0.1", "127。0。0。1", "①27.0.0.1", "me@１２７.0.0.1", "１６９.254.1.2"} {
		c := g.client(0)
		c.send(fmt.Sprintf("GET http://%s:%d/ HTTP/1.1\r\nHost: a\r\n\r\n", host, g.port()))
		c.expectAnswer(403, "denied", "an address of this machine or its link")
	}
	for _, says := range []string{"\x05\x01\x00\x05\x01\x00\x03\x03::1", "\x05\x01\x00\x05\x01\x00\x03\x05[::1]", "\x05\x01\x00\x05\x01\x00\x03\x0b１27.0.0.1"} {
		c := g.client(0)
		c.send(says + "\x00\x50")
		c.expect("\x05\x00\x05\x02" + answer5[2:])
	}
	own := g.relay.Ports()[0].Port()
	c := g.client(0)
	c.send(fmt.Sprintf("CONNECT １２７.0.0.1:%d HTTP/1.1\r\n\r\n", own))
	c.expectAnswer(403, "denied", "port of this relay itself")
}

// The Session API answers for its domain, whatever stands before the name, and however the name is written.
func TestSessionAPIInUnicode(t *testing.T) {
	for _, row := range []struct{ name, domain, request string }{
		{"user information", "portmapper", "GET http://me:pw@portmapper/session/ HTTP/1.1\r\n\r\n"},
		{"fragment", "portmapper", "GET http://portmapper/session/#a HTTP/1.1\r\nHost: portmapper\r\n\r\n"},
		{"fragment in origin-form", "", "GET /session/#a HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		{"wide letters", "portmapper", "GET http://ｐｏｒｔｍａｐｐｅｒ/session/ HTTP/1.1\r\n\r\n"},
		{"an A-label", "xn--bcher-kva.example", "GET /session/ HTTP/1.1\r\nHost: bücher.example\r\n\r\n"},
		{"ws", "portmapper", "GET ws://portmapper/session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t, withAPI(row.domain))
			c := g.client(0)
			c.send(row.request)
			c.apiAnswer()
		})
	}
	g := newRig(t, withAPI("portmapper"))
	c := g.client(0)
	c.send("GET http://portmapper@example.com/session/ HTTP/1.1\r\n\r\n")
	g.upstream().expect("GET http://example.com/session/ HTTP/1.1\r\nHost: example.com\r\n")
}

// A name in ASCII costs nothing, and one in UTF-8 is the name that DNS has.
func TestAppendASCII(t *testing.T) {
	for in, want := range map[string]string{
		"bücher.example": "xn--bcher-kva.example", "straße.example": "xn--strae-oqa.example", "例え.テスト": "xn--r8jz45g.xn--zckzah",
		"b\u0075\u0308cher.example": "xn--bcher-kva.example", "bücher.example.": "xn--bcher-kva.example.", "ａ_b": "a_b",
	} {
		if got, err := appendASCII([]byte("x"), []byte(in)); string(got) != "x"+want || err != nil {
			t.Errorf("%q: got %q, %v; want %q", in, got, err, "x"+want)
		}
	}
	for in, want := range map[string]string{
		"BÜCHER.example": "xn--bcher-kva.example", "A.example": "A.example", "a／b": "a／b", "b\xfccher.example": "b\xfccher.example", "": "",
	} {
		if got := PlainHost(in); got != want {
			t.Errorf("%q: the plain host is %q; want %q", in, got, want)
		}
	}
	for in, want := range map[string]error{
		"ü" + strings.Repeat(".a", 123):       nil, // 7 bytes, and 246
		"ü" + strings.Repeat(".a", 123) + "a": httpparse.ErrHostLength,
		"ü" + strings.Repeat("a", 55):         nil, // 63 bytes
		"ü" + strings.Repeat("a", 56):         httpparse.ErrHostLength,
	} {
		if got, err := appendASCII(nil, []byte(in)); err != want {
			t.Errorf("%q is %q, %d bytes: got %v; want %v", in, got, len(got), err, want)
		}
	}
	var r httpparse.Request
	if err := r.Parse([]byte(get), httpparse.Limits{Head: 1 << 10, Target: 1 << 10}); err != nil || !r.IsPlain() {
		t.Errorf("got %v, plain %v; want an ordinary request to be plain", err, r.IsPlain())
	}
}
