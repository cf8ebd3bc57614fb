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
