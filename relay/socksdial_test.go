package relay

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// socksTarget is what a handshake is begun with.
type socksTarget struct {
	version        uint8
	host           string
	addr           string
	port           uint16
	user, password string
}

func (g *socksTarget) begin(s *socksDial) ([]byte, error) {
	var addr netip.Addr
	if g.addr != "" {
		addr = netip.MustParseAddr(g.addr)
	}
	return s.begin(nil, g.version, []byte(g.host), addr, g.port, g.user, g.password)
}

// hear shows the dial what the server says, step bytes more at a time, until there is a verdict.
func hear(s *socksDial, b string, step int) (n int, sent string, done bool, err error) {
	var out []byte
	for shown := min(step, len(b)); ; shown = min(shown+step, len(b)) {
		var used int
		used, out, done, err = s.next(exact([]byte(b[n:shown])), out)
		if n += used; done || err != nil || shown == len(b) {
			return n, string(out), done, err
		}
	}
}

var (
	plain5 = socksTarget{version: socks5, host: "a.example", port: 443}
	login5 = socksTarget{version: socks5, host: "a.example", port: 443, user: "me", password: "secret"}
	plain4 = socksTarget{version: socks4, addr: "1.2.3.4", port: 80}
)

const (
	granted4 = "\x00\x5a\x00\x00\x00\x00\x00\x00"
	granted5 = "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
	request5 = "\x05\x01\x00\x03\x09a.example\x01\xbb"
	secret5  = "\x01\x02me\x06secret"
)

// Whole handshakes, with the server's part cut in every way that next can be shown it.
func TestSocksDial(t *testing.T) {
	v6 := "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
	for _, row := range []struct {
		name                string
		target              socksTarget
		first, server, then string
	}{
		{"SOCKS4", plain4, "\x04\x01\x00\x50\x01\x02\x03\x04\x00", granted4, ""},
		{"SOCKS4, a user-id and no password", socksTarget{4, "", "1.2.3.4", 65535, "me", "secret"}, "\x04\x01\xff\xff\x01\x02\x03\x04me\x00", granted4, ""},
		{"SOCKS4, a user-id of 255", socksTarget{4, "", "1.2.3.4", 80, long255, ""}, "\x04\x01\x00\x50\x01\x02\x03\x04" + long255 + "\x00", granted4, ""},
		{"SOCKS4, a host that is an address", socksTarget{4, "1.2.3.4", "", 80, "", ""}, "\x04\x01\x00\x50\x01\x02\x03\x04\x00", granted4, ""},
		{"SOCKS4, IPv4 as IPv6", socksTarget{4, "", "::ffff:1.2.3.4", 80, "", ""}, "\x04\x01\x00\x50\x01\x02\x03\x04\x00", granted4, ""},
		{"SOCKS4, zeros", socksTarget{4, "", "0.0.0.0", 80, "", ""}, "\x04\x01\x00\x50\x00\x00\x00\x00\x00", granted4, ""},
		{"SOCKS4, any bound address", plain4, "\x04\x01\x00\x50\x01\x02\x03\x04\x00", "\x00\x5a\xff\xff\x05\x00\x5b\xff", ""},
		{"SOCKS4a", socksTarget{4, "a.example", "", 443, "me", ""}, "\x04\x01\x01\xbb\x00\x00\x00\x01me\x00a.example\x00", granted4, ""},
		{"SOCKS4a, 255", socksTarget{4, name255, "", 443, "", ""}, "\x04\x01\x01\xbb\x00\x00\x00\x01\x00" + name255 + "\x00", granted4, ""},
		{"a name", plain5, "\x05\x01\x00", "\x05\x00" + granted5, request5},
		{"a name of 255", socksTarget{5, name255, "", 443, "", ""}, "\x05\x01\x00", "\x05\x00" + granted5, "\x05\x01\x00\x03\xff" + name255 + "\x01\xbb"},
		{"IPv4", socksTarget{5, "", "1.2.3.4", 80, "", ""}, "\x05\x01\x00", "\x05\x00" + granted5, "\x05\x01\x00\x01\x01\x02\x03\x04\x00\x50"},
		{"IPv6", socksTarget{5, "", "2001:db8::1", 80, "", ""}, "\x05\x01\x00", "\x05\x00" + granted5, "\x05\x01\x00\x04" + v6 + "\x00\x50"},
		{"a host that is IPv6", socksTarget{5, "2001:DB8::1", "", 80, "", ""}, "\x05\x01\x00", "\x05\x00" + granted5, "\x05\x01\x00\x04" + v6 + "\x00\x50"},
		{"the address counts, not the host", socksTarget{5, "a", "1.2.3.4", 80, "", ""}, "\x05\x01\x00", "\x05\x00" + granted5, "\x05\x01\x00\x01\x01\x02\x03\x04\x00\x50"},
		{"credentials", login5, "\x05\x02\x00\x02", "\x05\x02\x01\x00" + granted5, secret5 + request5},
		{"credentials that are not wanted", login5, "\x05\x02\x00\x02", "\x05\x00" + granted5, request5},
		{"credentials of any bytes", socksTarget{5, "a.example", "", 443, "m:\x00", "\xff\n"}, "\x05\x02\x00\x02", "\x05\x02\x01\x00" + granted5, "\x01\x03m:\x00\x02\xff\n" + request5},
		{"a user name only", socksTarget{5, "a.example", "", 443, "m", ""}, "\x05\x02\x00\x02", "\x05\x02\x01\x00" + granted5, "\x01\x01m\x00" + request5},
		{"a password only", socksTarget{5, "a.example", "", 443, "", "s"}, "\x05\x02\x00\x02", "\x05\x02\x01\x00" + granted5, "\x01\x00\x01s" + request5},
		{"credentials of 255", socksTarget{5, "a.example", "", 443, long255, long255}, "\x05\x02\x00\x02", "\x05\x02\x01\x00" + granted5,
			"\x01\xff" + long255 + "\xff" + long255 + request5},
		{"bound to IPv6", plain5, "\x05\x01\x00", "\x05\x00\x05\x00\x00\x04" + v6 + "\x00\x50", request5},
		{"bound to a name", plain5, "\x05\x01\x00", "\x05\x00\x05\x00\x00\x03\x03a.b\x00\x50", request5},
		{"bound to an empty name", plain5, "\x05\x01\x00", "\x05\x00\x05\x00\x00\x03\x00\x00\x50", request5},
		{"bound to a name of 255", plain5, "\x05\x01\x00", "\x05\x00\x05\x00\x00\x03\xff" + long255 + "\x00\x50", request5},
		{"the reserved byte", plain5, "\x05\x01\x00", "\x05\x00\x05\x00\xff\x01\x00\x00\x00\x00\x00\x00", request5},
	} {
		for step := 1; step <= len(row.server)+1; step++ {
			var s socksDial
			first, err := row.target.begin(&s)
			if string(first) != row.first || err != nil {
				t.Fatalf("%s: begins with %q, %v; want %q", row.name, first, err, row.first)
			}
			n, sent, done, err := hear(&s, row.server+"\x05\x00tunnel", step)
			if n != len(row.server) || sent != row.then || !done || err != nil {
				t.Fatalf("%s, in steps of %d: %d, sent %q, done %v, %v; want %d, %q", row.name, step, n, sent, done, err, len(row.server), row.then)
			}
			if n, out, done, err := s.next([]byte("tunnel"), nil); n != 0 || out != nil || !done || err != nil {
				t.Fatalf("%s, afterwards: %d, %q, %v, %v", row.name, n, out, done, err)
			}
		}
		// No beginning of what the server says is enough.
		for i := range len(row.server) {
			var s socksDial
			if _, err := row.target.begin(&s); err != nil {
				t.Fatal(err)
			}
			if n, sent, done, err := hear(&s, row.server[:i], len(row.server)); n > i || !strings.HasPrefix(row.then, sent) || done || err != nil {
				t.Fatalf("%s, %d bytes: %d, sent %q, done %v, %v", row.name, i, n, sent, done, err)
			}
		}
	}
}

// Every value of every byte of what a server says that has a meaning.
func TestSocksDialEveryValue(t *testing.T) {
	for _, row := range []struct {
		name   string
		target *socksTarget
		server string
		at     int
		want   func(v uint8) error
	}{
		{"version of the method", &plain5, "\x05\x00" + granted5, 0, onlyGood(5)},
		{"method", &plain5, "\x05\x00" + granted5, 1, onlyMethod(socksMethodNone)},
		{"version of the login", &login5, "\x05\x02\x01\x00" + granted5, 2, onlyGood(1)},
		{"status of the login", &login5, "\x05\x02\x01\x00" + granted5, 3, func(v uint8) error {
			if v == 0 {
				return nil
			}
			return errSocksCredentials
		}},
		{"version of the reply", &plain5, "\x05\x00" + granted5, 2, onlyGood(5)},
		{"code", &plain5, "\x05\x00" + granted5, 3, func(v uint8) error {
			if v == 0 {
				return nil
			}
			return &socksError{5, v}
		}},
		{"address type", &plain5, "\x05\x00" + granted5 + strings.Repeat("\x00", 12), 5, onlyGood(1, 3, 4)},
		{"version of SOCKS4", &plain4, granted4, 0, onlyGood(0)},
		{"code of SOCKS4", &plain4, granted4, 1, func(v uint8) error {
			switch v {
			case 0x5a:
				return nil
			case 0x5b, 0x5c, 0x5d:
				return &socksError{4, v}
			}
			return errSocksMalformed
		}},
	} {
		for v := range 256 {
			b := []byte(row.server)
			b[row.at] = byte(v)
			for _, step := range []int{1, len(b)} {
				var s socksDial
				if _, err := row.target.begin(&s); err != nil {
					t.Fatal(err)
				}
				_, _, done, err := hear(&s, string(b), step)
				if want := row.want(uint8(v)); done != (want == nil) || !sameSocksError(err, want) {
					t.Errorf("%s, %d: done %v, %v; want %v", row.name, v, done, err, want)
				}
			}
		}
	}
}

func onlyGood(good ...uint8) func(uint8) error {
	return func(v uint8) error {
		if strings.IndexByte(string(good), v) >= 0 {
			return nil
		}
		return errSocksMalformed
	}
}

func onlyMethod(good uint8) func(uint8) error {
	return func(v uint8) error {
		if v == socksMethodNo {
			return errSocksCredentials
		}
		return onlyGood(good)(v)
	}
}

// sameSocksError reports whether err is what want says: refusals are compared by code.
func sameSocksError(err, want error) bool {
	var refused, wanted *socksError
	if errors.As(want, &wanted) {
		return errors.As(err, &refused) && *refused == *wanted
	}
	return errors.Is(err, want)
}

// Without credentials there is nothing to log in with, whatever the server says.
func TestSocksDialLoginNotOffered(t *testing.T) {
	var s socksDial
	if _, err := plain5.begin(&s); err != nil {
		t.Fatal(err)
	}
	if _, sent, done, err := hear(&s, "\x05\x02\x01\x00"+granted5, 1); sent != "" || done || !errors.Is(err, errSocksMalformed) {
		t.Errorf("sent %q, done %v, %v", sent, done, err)
	}
}

// A server that closes behind the code of its refusal has refused all the same.
func TestSocksDialShortRefusal(t *testing.T) {
	for _, row := range []struct {
		target *socksTarget
		server string
		want   socksError
	}{
		{&plain4, "\x00\x5b", socksError{4, 0x5b}},
		{&plain5, "\x05\x00\x05\x05", socksError{5, 5}},
	} {
		var s socksDial
		if _, err := row.target.begin(&s); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := hear(&s, row.server, 1); !sameSocksError(err, &row.want) {
			t.Errorf("%q: %v, want %v", row.server, err, &row.want)
		}
	}
}

// What a handshake cannot ask for is told before anything is sent, and without the credentials.
func TestSocksDialBeginFaults(t *testing.T) {
	tooLong := "secret" + strings.Repeat("s", 250)
	for _, row := range []struct {
		name   string
		target socksTarget
		is     error
		want   string
	}{
		{"SOCKS4, IPv6", socksTarget{4, "", "2001:db8::1", 80, "", ""}, errSocks4Address, "target 2001:db8::1: "},
		{"SOCKS4, a host that is IPv6", socksTarget{4, "2001:db8::1", "", 80, "", ""}, errSocks4Address, "target 2001:db8::1: "},
		{"SOCKS4, the mark of a name", socksTarget{4, "", "0.0.0.1", 80, "", ""}, errSocks4Address, "target 0.0.0.1: "},
		{"SOCKS4, the same as IPv6", socksTarget{4, "", "::ffff:0.0.0.9", 80, "", ""}, errSocks4Address, "target 0.0.0.9: "},
		{"SOCKS4, NUL", socksTarget{4, "a", "", 80, "secret\x00", ""}, nil, "NUL"},
		{"SOCKS4, user-id of 256", socksTarget{4, "a", "", 80, tooLong, ""}, nil, "user name has 256 bytes"},
		{"user name of 256", socksTarget{5, "a", "", 80, tooLong, ""}, nil, "user name has 256 bytes"},
		{"password of 256", socksTarget{5, "a", "", 80, "", tooLong}, nil, "password has 256 bytes"},
		{"host of 256", socksTarget{5, name255 + "b", "", 80, "", ""}, nil, "neither a name"},
		{"no host", socksTarget{5, "", "", 80, "", ""}, nil, `host ""`},
		{"a host with NUL", socksTarget{4, "a\x00b", "", 80, "", ""}, nil, `host "a\x00b"`},
		{"a host with a port", socksTarget{5, "a:80", "", 80, "", ""}, nil, `host "a:80"`},
		{"a zone", socksTarget{5, "fe80::1%lo", "", 80, "", ""}, nil, `host "fe80::1%lo"`},
	} {
		var s socksDial
		out, err := row.target.begin(&s)
		if err == nil || len(out) > 0 || !strings.Contains(err.Error(), row.want) || row.is != nil && !errors.Is(err, row.is) {
			t.Errorf("%s: %q, %v; want %q", row.name, out, err, row.want)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error holds a credential: %v", row.name, err)
		}
	}
}

// Each code has its text, and tells a SOCKS client the same if its protocol has a word for it.
func TestSocksErrorReply(t *testing.T) {
	texts := map[string]bool{}
	for code := 1; code < 256; code++ {
		e := &socksError{socks5, uint8(code)}
		want := uint8(socksFailed)
		if code <= 8 {
			want = uint8(code)
			texts[e.text()] = true
		}
		if e.reply() != want {
			t.Errorf("%v: reply %d, want %d", e, e.reply(), want)
		}
	}
	for code := uint8(socks4Rejected); code <= socks4OtherUser; code++ {
		e := &socksError{socks4, code}
		texts[e.text()] = true
		if e.reply() != socksFailed {
			t.Errorf("%v: reply %d", e, e.reply())
		}
	}
	if got, want := (&socksError{5, 5}).Error(), "the SOCKS5 server refused with code 0x05: connection refused"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(texts) != 11 || texts[(&socksError{5, 9}).text()] {
		t.Errorf("%d texts of 11 codes: %v", len(texts), texts)
	}
}

func TestSocksDialNoAllocations(t *testing.T) {
	buf := make([]byte, 0, 1024)
	host, server := []byte("a1.example"), []byte("\x05\x02\x01\x00"+granted5)
	var s socksDial
	if n := testing.AllocsPerRun(100, func() {
		out, _ := s.begin(buf, socks5, host, netip.Addr{}, 443, "me", "secret")
		_, _, _, _ = s.next(server, out)
		out, _ = s.begin(buf, socks4, host, netip.Addr{}, 443, "me", "")
		_, _, _, _ = s.next([]byte(granted4), out)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever a server says, cuts do not change what comes of it.
func FuzzSocksDial(f *testing.F) {
	f.Add(false, false, "\x05\x00"+granted5)
	f.Add(false, true, "\x05\x02\x01\x00\x05\x00\x00\x03\x03a.b\x00\x50tunnel")
	f.Add(false, true, "\x05\x02\x01\x01")
	f.Add(true, false, granted4+"tunnel")
	f.Fuzz(func(t *testing.T, four, login bool, server string) {
		target := plain5
		if four {
			target = plain4
		} else if login {
			target = login5
		}
		var whole, cut socksDial
		_, _ = target.begin(&whole)
		_, _ = target.begin(&cut)
		n, sent, done, err := hear(&whole, server, len(server))
		m, sent2, done2, err2 := hear(&cut, server, 1)
		if n != m || sent != sent2 || done != done2 || (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
			t.Fatalf("%d, %q, %v, %v; in pieces %d, %q, %v, %v", n, sent, done, err, m, sent2, done2, err2)
		}
		if n < 0 || n > len(server) || done && err != nil {
			t.Fatalf("%d of %d bytes, done %v, %v", n, len(server), done, err)
		}
	})
}

// Our two sides understand each other: what is begun is what the server side reads, to the byte, and its verdict arrives.
func FuzzSocksHandshake(f *testing.F) {
	f.Add(false, "a.example", []byte{}, uint16(443), "me", "secret", uint8(0))
	f.Add(true, "a.example", []byte{}, uint16(443), "me", "", uint8(0))
	f.Add(true, "", []byte{1, 2, 3, 4}, uint16(80), "", "", uint8(1))
	f.Add(true, "", []byte{0, 0, 0, 4}, uint16(80), "", "", uint8(1))
	f.Add(false, "", []byte("0123456789abcdef"), uint16(80), "", "", uint8(5))
	f.Add(false, "::1", []byte{}, uint16(80), long255, long255, uint8(2))
	f.Fuzz(func(t *testing.T, four bool, host string, ip []byte, port uint16, user, password string, code uint8) {
		version := uint8(socks5)
		if four {
			version = socks4
		}
		addr, _ := netip.AddrFromSlice(ip)
		var s socksDial
		toServer, err := s.begin(nil, version, []byte(host), addr, max(port, 1), user, password)
		if err != nil {
			return // TestSocksDialBeginFaults
		}
		got, toServer := serveSocks(t, &s, toServer, code)
		if !addr.IsValid() {
			addr, _ = netip.ParseAddr(host)
		}
		if addr = addr.Unmap(); addr.IsValid() {
			host = ""
		}
		if four {
			password = ""
		}
		if got.version != version || got.addr != addr || string(got.host) != host || got.port != max(port, 1) ||
			string(got.user) != user || string(got.password) != password || len(toServer) > 0 {
			t.Fatalf("the server side read %s and left %q", got, toServer)
		}
	})
}

// serveSocks is the server side of a handshake that answers the request with code. It returns the request and what of
// the client's bytes is left.
func serveSocks(t *testing.T, s *socksDial, b []byte, code uint8) (r *socksRequest, left []byte) {
	r = new(socksRequest)
	must := func(n int, err error) {
		if n == 0 || err != nil {
			t.Fatalf("the server side takes %d bytes of %q: %v", n, b, err)
		}
		b = b[n:]
	}
	if s.version == socks4 {
		must(r.parse4(b))
	} else {
		n, method, err := chooseSocksMethod(b, true)
		must(n, err)
		if hearOnly(t, s, appendSocksMethod(nil, method), &b); method == socksMethodLogin {
			must(r.parseLogin(b))
			hearOnly(t, s, appendSocksLogin(nil, true), &b)
		}
		must(r.parse5(b))
	}
	answer := string(appendSocksReply(nil, s.version, code))
	n, sent, done, err := hear(s, answer+"tunnel", 1)
	want := &socksError{s.version, code}
	if s.version == socks4 {
		want.code = socks4Rejected
	}
	if sent != "" || done != (code == socksGranted) || done && (n != len(answer) || err != nil) || !done && !sameSocksError(err, want) {
		t.Fatalf("code %d arrives as %d bytes, sent %q, done %v, %v", code, n, sent, done, err)
	}
	return r, b
}

// hearOnly gives the client an answer behind which it must say something, which is appended to b.
func hearOnly(t *testing.T, s *socksDial, answer []byte, b *[]byte) {
	n, sent, done, err := hear(s, string(answer), 1)
	if n != len(answer) || sent == "" || done || err != nil {
		t.Fatalf("%q: the client takes %d bytes, says %q, done %v, %v", answer, n, sent, done, err)
	}
	*b = append(*b, sent...)
}
