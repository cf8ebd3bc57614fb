package socks

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// target is what a handshake is begun with.
type target struct {
	version        uint8
	host           string
	addr           string
	port           uint16
	user, password string
}

func (g *target) begin(s *Dial) ([]byte, error) {
	var addr netip.Addr
	if g.addr != "" {
		addr = netip.MustParseAddr(g.addr)
	}
	return s.Begin(nil, g.version, []byte(g.host), addr, g.port, g.user, g.password)
}

// hear shows the dial what the server says, step bytes more at a time, until there is a verdict.
func hear(s *Dial, b string, step int) (n int, sent string, done bool, err error) {
	var out []byte
	for shown := min(step, len(b)); ; shown = min(shown+step, len(b)) {
		var used int
		used, out, done, err = s.Next(exact([]byte(b[n:shown])), out)
		if n += used; done || err != nil || shown == len(b) {
			return n, string(out), done, err
		}
	}
}

var (
	plain5 = target{version: V5, host: "a.example", port: 443}
	login5 = target{version: V5, host: "a.example", port: 443, user: "me", password: "secret"}
	plain4 = target{version: V4, addr: "1.2.3.4", port: 80}
)

const (
	answer4  = "\x00\x5a\x00\x00\x00\x00\x00\x00"
	answer5  = "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
	request5 = "\x05\x01\x00\x03\x09a.example\x01\xbb"
	secret5  = "\x01\x02me\x06secret"
)

// Whole handshakes, with the server's part cut in every way that next can be shown it.
func TestDial(t *testing.T) {
	v6 := "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
	for _, row := range []struct {
		name                string
		target              target
		first, server, then string
	}{
		{"SOCKS4", plain4, "\x04\x01\x00\x50\x01\x02\x03\x04\x00", answer4, ""},
		{"SOCKS4, a user-id and no password", target{4, "", "1.2.3.4", 65535, "me", "secret"}, "\x04\x01\xff\xff\x01\x02\x03\x04me\x00", answer4, ""},
		{"SOCKS4, a user-id of 255", target{4, "", "1.2.3.4", 80, long255, ""}, "\x04\x01\x00\x50\x01\x02\x03\x04" + long255 + "\x00", answer4, ""},
		{"SOCKS4, a host that is an address", target{4, "1.2.3.4", "", 80, "", ""}, "\x04\x01\x00\x50\x01\x02\x03\x04\x00", answer4, ""},
		{"SOCKS4, IPv4 as IPv6", target{4, "", "::ffff:1.2.3.4", 80, "", ""}, "\x04\x01\x00\x50\x01\x02\x03\x04\x00", answer4, ""},
		{"SOCKS4, zeros", target{4, "", "0.0.0.0", 80, "", ""}, "\x04\x01\x00\x50\x00\x00\x00\x00\x00", answer4, ""},
		{"SOCKS4, any bound address", plain4, "\x04\x01\x00\x50\x01\x02\x03\x04\x00", "\x00\x5a\xff\xff\x05\x00\x5b\xff", ""},
		{"SOCKS4a", target{4, "a.example", "", 443, "me", ""}, "\x04\x01\x01\xbb\x00\x00\x00\x01me\x00a.example\x00", answer4, ""},
		{"SOCKS4a, 255", target{4, name255, "", 443, "", ""}, "\x04\x01\x01\xbb\x00\x00\x00\x01\x00" + name255 + "\x00", answer4, ""},
		{"a name", plain5, "\x05\x01\x00", "\x05\x00" + answer5, request5},
		{"a name of 255", target{5, name255, "", 443, "", ""}, "\x05\x01\x00", "\x05\x00" + answer5, "\x05\x01\x00\x03\xff" + name255 + "\x01\xbb"},
		{"IPv4", target{5, "", "1.2.3.4", 80, "", ""}, "\x05\x01\x00", "\x05\x00" + answer5, "\x05\x01\x00\x01\x01\x02\x03\x04\x00\x50"},
		{"IPv6", target{5, "", "2001:db8::1", 80, "", ""}, "\x05\x01\x00", "\x05\x00" + answer5, "\x05\x01\x00\x04" + v6 + "\x00\x50"},
		{"a host that is IPv6", target{5, "2001:DB8::1", "", 80, "", ""}, "\x05\x01\x00", "\x05\x00" + answer5, "\x05\x01\x00\x04" + v6 + "\x00\x50"},
		{"the address counts, not the host", target{5, "a", "1.2.3.4", 80, "", ""}, "\x05\x01\x00", "\x05\x00" + answer5, "\x05\x01\x00\x01\x01\x02\x03\x04\x00\x50"},
		{"credentials", login5, "\x05\x01\x02", "\x05\x02\x01\x00" + answer5, secret5 + request5},
		{"credentials, with the version of SOCKS", login5, "\x05\x01\x02", "\x05\x02\x05\x00" + answer5, secret5 + request5},
		{"credentials of any bytes", target{5, "a.example", "", 443, "m:\x00", "\xff\n"}, "\x05\x01\x02", "\x05\x02\x01\x00" + answer5, "\x01\x03m:\x00\x02\xff\n" + request5},
		{"a user name only", target{5, "a.example", "", 443, "m", ""}, "\x05\x01\x02", "\x05\x02\x01\x00" + answer5, "\x01\x01m\x00" + request5},
		{"a password only", target{5, "a.example", "", 443, "", "s"}, "\x05\x01\x02", "\x05\x02\x01\x00" + answer5, "\x01\x00\x01s" + request5},
		{"credentials of 255", target{5, "a.example", "", 443, long255, long255}, "\x05\x01\x02", "\x05\x02\x01\x00" + answer5,
			"\x01\xff" + long255 + "\xff" + long255 + request5},
		{"bound to IPv6", plain5, "\x05\x01\x00", "\x05\x00\x05\x00\x00\x04" + v6 + "\x00\x50", request5},
		{"bound to a name", plain5, "\x05\x01\x00", "\x05\x00\x05\x00\x00\x03\x03a.b\x00\x50", request5},
		{"bound to an empty name", plain5, "\x05\x01\x00", "\x05\x00\x05\x00\x00\x03\x00\x00\x50", request5},
		{"bound to a name of 255", plain5, "\x05\x01\x00", "\x05\x00\x05\x00\x00\x03\xff" + long255 + "\x00\x50", request5},
		{"the reserved byte", plain5, "\x05\x01\x00", "\x05\x00\x05\x00\xff\x01\x00\x00\x00\x00\x00\x00", request5},
	} {
		for step := 1; step <= len(row.server)+1; step++ {
			var s Dial
			first, err := row.target.begin(&s)
			if string(first) != row.first || err != nil {
				t.Fatalf("%s: begins with %q, %v; want %q", row.name, first, err, row.first)
			}
			n, sent, done, err := hear(&s, row.server+"\x05\x00tunnel", step)
			if n != len(row.server) || sent != row.then || !done || err != nil {
				t.Fatalf("%s, in steps of %d: %d, sent %q, done %v, %v; want %d, %q", row.name, step, n, sent, done, err, len(row.server), row.then)
			}
			if n, out, done, err := s.Next([]byte("tunnel"), nil); n != 0 || out != nil || !done || err != nil {
				t.Fatalf("%s, afterwards: %d, %q, %v, %v", row.name, n, out, done, err)
			}
		}
		// No beginning of what the server says is enough.
		for i := range len(row.server) {
			var s Dial
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
func TestDialEveryValue(t *testing.T) {
	for _, row := range []struct {
		name   string
		target *target
		server string
		at     int
		want   func(v uint8) error
	}{
		{"version of the method", &plain5, "\x05\x00" + answer5, 0, onlyGood(5)},
		{"method", &plain5, "\x05\x00" + answer5, 1, onlyMethod(MethodNone)},
		{"method for credentials", &login5, "\x05\x02\x01\x00" + answer5, 1, onlyMethod(MethodLogin)},
		{"version of the login", &login5, "\x05\x02\x01\x00" + answer5, 2, func(uint8) error { return nil }},
		{"status of the login", &login5, "\x05\x02\x01\x00" + answer5, 3, func(v uint8) error {
			if v == 0 {
				return nil
			}
			return ErrCredentials
		}},
		{"version of the reply", &plain5, "\x05\x00" + answer5, 2, onlyGood(5)},
		{"code", &plain5, "\x05\x00" + answer5, 3, func(v uint8) error {
			if v == 0 {
				return nil
			}
			return &Refusal{5, v}
		}},
		{"address type", &plain5, "\x05\x00" + answer5 + strings.Repeat("\x00", 12), 5, onlyGood(1, 3, 4)},
		{"version of SOCKS4", &plain4, answer4, 0, onlyGood(0)},
		{"code of SOCKS4", &plain4, answer4, 1, func(v uint8) error {
			switch v {
			case 0x5a:
				return nil
			case 0x5b, 0x5c, 0x5d:
				return &Refusal{4, v}
			}
			return ErrMalformed
		}},
	} {
		for v := range 256 {
			b := []byte(row.server)
			b[row.at] = byte(v)
			for _, step := range []int{1, len(b)} {
				var s Dial
				if _, err := row.target.begin(&s); err != nil {
					t.Fatal(err)
				}
				_, _, done, err := hear(&s, string(b), step)
				if want := row.want(uint8(v)); done != (want == nil) || !sameError(err, want) {
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
		return ErrMalformed
	}
}

func onlyMethod(good uint8) func(uint8) error {
	return func(v uint8) error {
		if v == MethodRefused {
			return ErrCredentials
		}
		return onlyGood(good)(v)
	}
}

// sameError reports whether err is what want says: refusals are compared by code.
func sameError(err, want error) bool {
	var refused, wanted *Refusal
	if errors.As(want, &wanted) {
		return errors.As(err, &refused) && *refused == *wanted
	}
	return errors.Is(err, want)
}

// Without credentials there is nothing to log in with, whatever the server says.
func TestDialLoginNotOffered(t *testing.T) {
	var s Dial
	if _, err := plain5.begin(&s); err != nil {
		t.Fatal(err)
	}
	if _, sent, done, err := hear(&s, "\x05\x02\x01\x00"+answer5, 1); sent != "" || done || !errors.Is(err, ErrMalformed) {
		t.Errorf("sent %q, done %v, %v", sent, done, err)
	}
}

// A server that closes behind the code of its refusal has refused all the same.
func TestDialShortRefusal(t *testing.T) {
	for _, row := range []struct {
		target *target
		server string
		want   Refusal
	}{
		{&plain4, "\x00\x5b", Refusal{4, 0x5b}},
		{&plain5, "\x05\x00\x05\x05", Refusal{5, 5}},
	} {
		var s Dial
		if _, err := row.target.begin(&s); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := hear(&s, row.server, 1); !sameError(err, &row.want) {
			t.Errorf("%q: %v, want %v", row.server, err, &row.want)
		}
	}
}

// What a handshake cannot ask for is told before anything is sent, and without the credentials.
func TestDialBeginFaults(t *testing.T) {
	tooLong := "secret" + strings.Repeat("s", 250)
	for _, row := range []struct {
		name   string
		target target
		is     error
		want   string
	}{
		{"SOCKS4, IPv6", target{4, "", "2001:db8::1", 80, "", ""}, errAddress4, "target 2001:db8::1: "},
		{"SOCKS4, a host that is IPv6", target{4, "2001:db8::1", "", 80, "", ""}, errAddress4, "target 2001:db8::1: "},
		{"SOCKS4, the mark of a name", target{4, "", "0.0.0.1", 80, "", ""}, errAddress4, "target 0.0.0.1: "},
		{"SOCKS4, the same as IPv6", target{4, "", "::ffff:0.0.0.9", 80, "", ""}, errAddress4, "target 0.0.0.9: "},
		{"SOCKS4, NUL", target{4, "a", "", 80, "secret\x00", ""}, nil, "NUL"},
		{"SOCKS4, user-id of 256", target{4, "a", "", 80, tooLong, ""}, nil, "user name has 256 bytes"},
		{"user name of 256", target{5, "a", "", 80, tooLong, ""}, nil, "user name has 256 bytes"},
		{"password of 256", target{5, "a", "", 80, "", tooLong}, nil, "password has 256 bytes"},
		{"host of 256", target{5, name255 + "b", "", 80, "", ""}, nil, "neither a name"},
		{"no host", target{5, "", "", 80, "", ""}, nil, `host ""`},
		{"a host with NUL", target{4, "a\x00b", "", 80, "", ""}, nil, `host "a\x00b"`},
		{"a host with a port", target{5, "a:80", "", 80, "", ""}, nil, `host "a:80"`},
		{"a zone", target{5, "fe80::1%lo", "", 80, "", ""}, nil, `host "fe80::1%lo"`},
	} {
		var s Dial
		out, err := row.target.begin(&s)
		if err == nil || len(out) > 0 || !strings.Contains(err.Error(), row.want) || row.is != nil && !errors.Is(err, row.is) {
			t.Errorf("%s: %q, %v; want %q", row.name, out, err, row.want)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error holds a credential: %v", row.name, err)
		}
	}
}

// Each code has its text, and tells a SOCKS client the same if its protocol has a word for it.
func TestErrorReply(t *testing.T) {
	texts := map[string]bool{}
	for code := 1; code < 256; code++ {
		e := &Refusal{V5, uint8(code)}
		want := uint8(Failed)
		if code <= 8 {
			want = uint8(code)
			texts[e.text()] = true
		}
		if e.Reply() != want {
			t.Errorf("%v: reply %d, want %d", e, e.Reply(), want)
		}
	}
	for code := uint8(rejected4); code <= otherUser4; code++ {
		e := &Refusal{V4, code}
		texts[e.text()] = true
		if e.Reply() != Failed {
			t.Errorf("%v: reply %d", e, e.Reply())
		}
	}
	if got, want := (&Refusal{5, 5}).Error(), "the SOCKS5 server refused with code 0x05: connection refused"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(texts) != 11 || texts[(&Refusal{5, 9}).text()] {
		t.Errorf("%d texts of 11 codes: %v", len(texts), texts)
	}
}

func TestDialNoAllocations(t *testing.T) {
	buf := make([]byte, 0, 1024)
	host, server := []byte("a1.example"), []byte("\x05\x02\x01\x00"+answer5)
	var s Dial
	if n := testing.AllocsPerRun(100, func() {
		out, _ := s.Begin(buf, V5, host, netip.Addr{}, 443, "me", "secret")
		_, _, _, _ = s.Next(server, out)
		out, _ = s.Begin(buf, V4, host, netip.Addr{}, 443, "me", "")
		_, _, _, _ = s.Next([]byte(answer4), out)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever a server says, cuts do not change what comes of it.
func FuzzDial(f *testing.F) {
	f.Add(false, false, "\x05\x00"+answer5)
	f.Add(false, true, "\x05\x02\x01\x00\x05\x00\x00\x03\x03a.b\x00\x50tunnel")
	f.Add(false, true, "\x05\x02\x01\x01")
	f.Add(true, false, answer4+"tunnel")
	f.Fuzz(func(t *testing.T, four, login bool, server string) {
		target := plain5
		if four {
			target = plain4
		} else if login {
			target = login5
		}
		var whole, cut Dial
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
func FuzzHandshake(f *testing.F) {
	f.Add(false, "a.example", []byte{}, uint16(443), "me", "secret", uint8(0))
	f.Add(true, "a.example", []byte{}, uint16(443), "me", "", uint8(0))
	f.Add(true, "", []byte{1, 2, 3, 4}, uint16(80), "", "", uint8(1))
	f.Add(true, "", []byte{0, 0, 0, 4}, uint16(80), "", "", uint8(1))
	f.Add(false, "", []byte("0123456789abcdef"), uint16(80), "", "", uint8(5))
	f.Add(false, "::1", []byte{}, uint16(80), long255, long255, uint8(2))
	f.Fuzz(func(t *testing.T, four bool, host string, ip []byte, port uint16, user, password string, code uint8) {
		version := uint8(V5)
		if four {
			version = V4
		}
		addr, _ := netip.AddrFromSlice(ip)
		var s Dial
		toServer, err := s.Begin(nil, version, []byte(host), addr, max(port, 1), user, password)
		if err != nil {
			return // TestDialBeginFaults
		}
		got, toServer := serve(t, &s, toServer, code)
		if !addr.IsValid() {
			addr, _ = netip.ParseAddr(host)
		}
		if addr = addr.Unmap(); addr.IsValid() {
			host = ""
		}
		if four {
			password = ""
		}
		if got.Version != version || got.Addr != addr || string(got.Host) != host || got.Port != max(port, 1) ||
			string(got.User) != user || string(got.Password) != password || len(toServer) > 0 {
			t.Fatalf("the server side read %s and left %q", got, toServer)
		}
	})
}

// serve is the server side of a handshake that answers the request with code. It returns the request and what of
// the client's bytes is left.
func serve(t *testing.T, s *Dial, b []byte, code uint8) (r *Request, left []byte) {
	r = new(Request)
	must := func(n int, err error) {
		if n == 0 || err != nil {
			t.Fatalf("the server side takes %d bytes of %q: %v", n, b, err)
		}
		b = b[n:]
	}
	if s.version == V4 {
		must(r.Parse4(b))
	} else {
		n, method, err := ChooseMethod(b, Welcome)
		must(n, err)
		if hearOnly(t, s, AppendMethod(nil, method), &b); method == MethodLogin {
			must(r.ParseLogin(b))
			hearOnly(t, s, AppendLogin(nil, true), &b)
		}
		must(r.Parse5(b))
	}
	answer := string(AppendReply(nil, s.version, code))
	n, sent, done, err := hear(s, answer+"tunnel", 1)
	want := &Refusal{s.version, code}
	if s.version == V4 {
		want.Code = rejected4
	}
	if sent != "" || done != (code == Granted) || done && (n != len(answer) || err != nil) || !done && !sameError(err, want) {
		t.Fatalf("code %d arrives as %d bytes, sent %q, done %v, %v", code, n, sent, done, err)
	}
	return r, b
}

// hearOnly gives the client an answer behind which it must say something, which is appended to b.
func hearOnly(t *testing.T, s *Dial, answer []byte, b *[]byte) {
	n, sent, done, err := hear(s, string(answer), 1)
	if n != len(answer) || sent == "" || done || err != nil {
		t.Fatalf("%q: the client takes %d bytes, says %q, done %v, %v", answer, n, sent, done, err)
	}
	*b = append(*b, sent...)
}
