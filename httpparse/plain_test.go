package httpparse

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// upper stands for who knows Unicode's tables.
func upper(dst, host []byte) ([]byte, error) {
	if bytes.Contains(host, []byte("ß")) {
		return dst, errNoName
	}
	return append(append(dst, "xn--"...), bytes.Trim(host, "äöü.")...), nil
}

var errNoName = errors.New("no name")

// plain is the head that goes on in place of the one that r describes; names stay as they are.
func plain(t *testing.T, r *Request, head string) string {
	t.Helper()
	b, err := r.AppendPlain(nil, []byte(head), func(dst, host []byte) ([]byte, error) { return append(dst, host...), nil })
	if err != nil {
		t.Fatalf("%q: %v", head, err)
	}
	if err := r.Parse(b, Limits{Head: 1 << 20, Target: 1 << 20, Fields: 1 << 10}); err != nil {
		t.Fatalf("%q becomes %q: %v", head, b, err)
	}
	if r.End != len(b) || r.Target.Userinfo.End != 0 || r.Target.Fragment.End != 0 || r.lacksHost() || r.Method == MethodConnect && r.length >= 0 {
		t.Fatalf("%q becomes %q, which is not plain", head, b)
	}
	return string(b)
}

// What has one plain meaning goes on as other requests do. Nothing else of it changes.
func TestAppendPlain(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"CONNECT without Host", "CONNECT a:443 HTTP/1.1\r\nA:  b \r\n\r\n", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nA:  b \r\n\r\n"},
		{"CONNECT of IPv6 without Host", "CONNECT [::1]:443 HTTP/1.1\r\n\r\n", "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n"},
		{"absolute-form without Host", "GET http://a:81/b?c HTTP/1.1\r\nA: b\r\n\r\n", "GET http://a:81/b?c HTTP/1.1\r\nHost: a:81\r\nA: b\r\n\r\n"},
		{"CONNECT with a length of 0", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nA: b\r\ncontent-length: 00\r\nC: d\r\n\r\n",
			"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nA: b\r\nC: d\r\n\r\n"},
		{"CONNECT of HTTP/1.0 with a length of 0", "CONNECT a:1 HTTP/1.0\r\nContent-Length: 0\r\n\r\n", "CONNECT a:1 HTTP/1.0\r\n\r\n"},
		{"empty lines before it", "\r\n\r\nCONNECT a:1 HTTP/1.1\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"},
		{"user information", "GET http://me:pw@a:81/b HTTP/1.1\r\nHost: a:81\r\n\r\n", "GET http://a:81/b HTTP/1.1\r\nHost: a:81\r\n\r\n"},
		{"user information without Host", "GET ws://me@a HTTP/1.1\r\n\r\n", "GET ws://a HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"fragment", "GET http://a/b?c#d?e#f HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"fragment behind the host", "GET http://a#/@b HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"fragment in origin-form", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"user information and fragment", "GET http://u@a?b#c HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"target in UTF-8", "GET http://äb:81/c HTTP/1.1\r\nHost: c\r\n\r\n", "GET http://xn--b:81/c HTTP/1.1\r\nHost: c\r\n\r\n"},
		{"target in UTF-8 without Host", "CONNECT äb:81 HTTP/1.1\r\n\r\n", "CONNECT xn--b:81 HTTP/1.1\r\nHost: xn--b:81\r\n\r\n"},
		{"Host in UTF-8", "GET http://a/ HTTP/1.1\r\nhOST:  äb:81 \r\nA: b\r\n\r\n", "GET http://a/ HTTP/1.1\r\nhOST:  xn--b:81 \r\nA: b\r\n\r\n"},
		{"all of it", "GET http://ü@äb#ö HTTP/1.1\r\nA: ä\r\nHost: üc\r\n\r\n", "GET http://xn--b HTTP/1.1\r\nA: ä\r\nHost: xn--c\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRequest()
			if err := r.Parse([]byte(row.in+"rest"), testLimits); err != nil || r.IsPlain() {
				t.Fatalf("got %v, plain %v; want it taken, and not plain", err, r.IsPlain())
			}
			got, err := r.AppendPlain([]byte("x"), []byte(row.in+"rest"), upper)
			if want := "x" + row.want; string(got) != want || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
			if err := r.Parse(got[1:], testLimits); err != nil || !r.IsPlain() {
				t.Errorf("the result has %v, plain %v; want it to be", err, r.IsPlain())
			}
		})
	}
}

// Most heads are plain, those of HTTP/1.0 without Host too.
func TestIsPlain(t *testing.T) {
	for _, head := range []string{
		"GET http://a/b?c@d HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "GET http://a/ HTTP/1.0\r\n\r\n", "CONNECT a:1 HTTP/1.0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost:\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a/ä HTTP/1.1\r\nHost: b\r\nA: ä\r\n\r\n",
	} {
		if r := newRequest(); r.Parse([]byte(head), testLimits) != nil || !r.IsPlain() {
			t.Errorf("%q is not plain", head)
		}
	}
}

// What is no name for who knows them is none.
func TestAppendPlainFails(t *testing.T) {
	for _, head := range []string{"GET http://ß/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a/ HTTP/1.1\r\nHost: ß\r\n\r\n", "CONNECT ß:1 HTTP/1.1\r\n\r\n"} {
		r := newRequest()
		if err := r.Parse([]byte(head), testLimits); err != nil {
			t.Fatal(err)
		}
		if _, err := r.AppendPlain(nil, []byte(head), upper); err != errNoName {
			t.Errorf("%q: got %v; want %v", head, err, errNoName)
		}
	}
}

// A CONNECT without Host is what whole tools send: putting it right costs no memory.
func TestAppendPlainAllocatesNothing(t *testing.T) {
	head := []byte("CONNECT a.example:443 HTTP/1.1\r\nUser-Agent: " + strings.Repeat("x", 100) + "\r\n\r\n")
	r, dst := newRequest(), make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() {
		_ = r.Parse(head, testLimits)
		dst, _ = r.AppendPlain(dst[:0], head, upper)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// An authority goes on as that of a CONNECT does, or is refused for the same.
func TestAppendAuthority(t *testing.T) {
	long := strings.Repeat("a", 63) + "."
	for _, row := range []struct {
		name, in, want, host string
		port                 uint16
		err                  error
	}{
		{"a name", "a.example:443", "a.example:443", "a.example", 443, nil},
		{"capitals", "A.Example:1", "A.Example:1", "A.Example", 1, nil},
		{"underscore and tilde", "_a~b:65535", "_a~b:65535", "_a~b", 65535, nil},
		{"IPv4", "1.2.3.4:80", "1.2.3.4:80", "1.2.3.4", 80, nil},
		{"IPv6", "[2001:db8::1]:443", "[2001:db8::1]:443", "2001:db8::1", 443, nil},
		{"UTF-8", "äb:81", "xn--b:81", "xn--b", 81, nil},
		{"the longest name", strings.Repeat(long, 3) + strings.Repeat("a", 61) + ":1", strings.Repeat(long, 3) + strings.Repeat("a", 61) + ":1",
			strings.Repeat(long, 3) + strings.Repeat("a", 61), 1, nil},
		{"a name too long", strings.Repeat(long, 4) + ":1", "", "", 0, ErrHostLength},
		{"a label too long", "a" + long + "b:1", "", "", 0, ErrHostLength},
		{"no host", ":443", "", "", 0, ErrHost},
		{"IPv6 without brackets", "::1:443", "", "", 0, ErrHost},
		{"zone", "[fe80::1%25eth0]:443", "", "", 0, ErrHost},
		{"no port", "a", "", "", 0, errConnectForm},
		{"port 0", "a:0", "", "", 0, errPort},
		{"port too large", "a:65536", "", "", 0, errPort},
		{"user information", "me@a:443", "", "", 0, ErrUserinfoOfConnect},
		{"a second line", "a:443 HTTP/1.1\r\nHost: b", "", "", 0, errTarget},
		{"space", "a b:443", "", "", 0, errTarget},
		{"line end", "a\r\n:443", "", "", 0, errTarget},
		{"NUL", "a\x00:443", "", "", 0, errTarget},
		{"broken UTF-8", "\xc3:443", "", "", 0, ErrHost},
		{"no name for who knows them", "ß:443", "", "", 0, errNoName},
		{"empty", "", "", "", 0, errTarget},
	} {
		t.Run(row.name, func(t *testing.T) {
			var target Target
			got, err := target.AppendAuthority([]byte("before"), []byte(row.in), upper)
			if err != row.err {
				t.Fatalf("got %v; want %v", err, row.err)
			}
			if err != nil {
				return
			}
			if string(got) != "before"+row.want || string(target.Host.In(got)) != row.host || string(target.Authority.In(got)) != row.want ||
				target.Port != row.port || target.Form != AuthorityForm || target.Unicode {
				t.Errorf("got %q, described as %+v; want %q, %q, %d", got, target, row.want, row.host, row.port)
			}
		})
	}
}

// FuzzAppendAuthority: an authority is taken if and only if a CONNECT is that has it for its whole target, and both go on as
// the same.
func FuzzAppendAuthority(f *testing.F) {
	for _, s := range []string{"a:443", "[::1]:443", "äb:81", "ß:1", "::1:443", "me@a:443", "a:443 HTTP/1.1\r\nHost: b", "a\x00:1", "1.2.3.4:80", "a:", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var target Target
		got, err := target.AppendAuthority([]byte("before"), []byte(s), upper)
		head := []byte("CONNECT " + s + " HTTP/1.1\r\n\r\n")
		r := newRequest()
		refused := r.Parse(head, Limits{Head: 2 << 20, Target: 1 << 20, Fields: 1 << 10})
		if refused == nil && string(r.Target.All.In(head)) != s {
			refused = errTarget // it is more than a target
		}
		var plain []byte
		if refused == nil {
			plain, refused = r.AppendPlain(nil, head, upper)
		}
		if refused == nil {
			refused = r.Parse(plain, Limits{Head: 2 << 20, Target: 1 << 20, Fields: 1 << 10})
		}
		if (err == nil) != (refused == nil) {
			t.Fatalf("%q: got %v; want %v, as for a CONNECT", s, err, refused)
		}
		if err == nil && (string(got) != "before"+string(r.Target.All.In(plain)) || !bytes.Equal(target.Host.In(got), r.Target.Host.In(plain)) || target.Port != r.Target.Port) {
			t.Fatalf("%q goes on as %q, %+v; want %q", s, got, target, plain)
		}
	})
}
