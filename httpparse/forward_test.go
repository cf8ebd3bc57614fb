package httpparse

import (
	"strings"
	"testing"
)

// A request to the target itself: origin-form, Host first, nothing hop-by-hop (RFC 9110 section 7.6.1, RFC 9112 section
// 3.2.1).
func TestAppendOriginForm(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"path and query", "GET http://a.example:81/p?q=1 HTTP/1.1\r\nHost: a.example:81\r\nAccept: */*\r\n\r\n",
			"GET /p?q=1 HTTP/1.1\r\nHost: AUTH\r\nAccept: */*\r\n\r\n"},
		{"no path", "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: AUTH\r\n\r\n"},
		{"query without a path", "GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?q HTTP/1.1\r\nHost: AUTH\r\n\r\n"},
		{"empty query", "GET http://a/? HTTP/1.1\r\nHost: a\r\n\r\n", "GET /? HTTP/1.1\r\nHost: AUTH\r\n\r\n"},
		{"OPTIONS of the server", "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: AUTH\r\n\r\n"},
		{"OPTIONS of its root", "OPTIONS http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS / HTTP/1.1\r\nHost: AUTH\r\n\r\n"},
		{"HTTP/1.0 that persists", "GET http://a/ HTTP/1.0\r\nConnection: Keep-Alive, A\r\nKeep-Alive: 5\r\nA: b\r\n\r\n", "GET / HTTP/1.0\r\nHost: AUTH\r\nConnection: keep-alive\r\n\r\n"},
		{"HTTP/1.0 that persists as of old", "GET http://a/ HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n", "GET / HTTP/1.0\r\nHost: AUTH\r\nConnection: keep-alive\r\n\r\n"},
		{"HTTP/1.0 without Host", "GET http://a/ HTTP/1.0\r\nA: b\r\n\r\n", "GET / HTTP/1.0\r\nHost: AUTH\r\nA: b\r\nConnection: close\r\n\r\n"},
		{"empty lines before it", "\r\n\r\nGET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: AUTH\r\n\r\n"},
		{"credentials and other Proxy fields", "GET http://a/ HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Basic eDp5\r\nproxy-connection: keep-alive\r\nPROXY-X: 1\r\nProxy: 2\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: AUTH\r\nProxy: 2\r\n\r\n"},
		{"fields that Connection names", "GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop ,\tx-two\r\nX-Hop: 1\r\nX-TWO: 2\r\nX-Three: 3\r\nKeep-Alive: 5\r\nTE: trailers\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: AUTH\r\nX-Three: 3\r\n\r\n"},
		{"named in a second Connection", "GET http://a/ HTTP/1.1\r\nX-Hop: 1\r\nHost: a\r\nConnection: a\r\nConnection: x-hop\r\n\r\n", "GET / HTTP/1.1\r\nHost: AUTH\r\n\r\n"},
		{"close", "GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET / HTTP/1.1\r\nHost: AUTH\r\nConnection: close\r\n\r\n"},
		{"Upgrade", "GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: AUTH\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
		{"Upgrade that Connection does not name", "GET http://a/ HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", "GET / HTTP/1.1\r\nHost: AUTH\r\n\r\n"},
		{"framing stays", "POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\nExpect: 100-continue\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: AUTH\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\nExpect: 100-continue\r\n\r\n"},
		{"length stays", "POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n", "POST / HTTP/1.1\r\nHost: AUTH\r\nContent-Length: 3\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRequest()
			if err := r.Parse([]byte(row.in), testLimits); err != nil {
				t.Fatal(err)
			}
			got, ok := r.AppendOriginForm([]byte("x"), []byte(row.in), []byte("AUTH"), -1)
			if want := "x" + row.want; string(got) != want || !ok {
				t.Errorf("got %q, %v; want %q", got, ok, want)
			}
			if err := newRequest().Parse(got[1:], testLimits); err != nil {
				t.Errorf("the result cannot be parsed: %v", err)
			}
		})
	}
}

func TestAppendOriginFormIsBounded(t *testing.T) {
	in := []byte("GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: " + strings.Repeat("x,", 600) + "\r\n\r\n")
	r := newRequest()
	if err := r.Parse(in, testLimits); err != nil {
		t.Fatal(err)
	}
	if got, ok := r.AppendOriginForm(nil, in, []byte("a"), -1); ok || len(got) > 0 {
		t.Errorf("got %q; want it refused", got)
	}
}

// Max-Forwards is one plain decimal number, of any length (RFC 9110 section 7.6.2).
func TestMaxForwards(t *testing.T) {
	for _, row := range []struct {
		name, fields string
		want         int64
		err          error
	}{
		{"none", "", -1, nil},
		{"zero", "Max-Forwards: 0\r\n", 0, nil},
		{"one, in other case", "MAX-forwards:1 \r\n", 1, nil},
		{"leading zeros", "Max-Forwards: 0010\r\n", 10, nil},
		{"greatest that is sent, and one", "Max-Forwards: 2147483648\r\n", 1 << 31, nil},
		{"over it", "Max-Forwards: 2147483649\r\n", 1 << 31, nil},
		{"2^64", "Max-Forwards: 18446744073709551616\r\n", 1 << 31, nil},
		{"200 digits", "Max-Forwards: " + strings.Repeat("9", 200) + "\r\n", 1 << 31, nil},
		{"empty", "Max-Forwards:\r\n", -1, errForwardsValue},
		{"negative", "Max-Forwards: -1\r\n", -1, errForwardsValue},
		{"list", "Max-Forwards: 1, 1\r\n", -1, errForwardsValue},
		{"hexadecimal", "Max-Forwards: 0x1\r\n", -1, errForwardsValue},
		{"letter behind it", "Max-Forwards: 1a\r\n", -1, errForwardsValue},
		{"twice", "Max-Forwards: 1\r\nA: b\r\nmax-forwards: 1\r\n", -1, errForwardsTwice},
		{"twice, the first 0", "Max-Forwards: 0\r\nMax-Forwards: 5\r\n", -1, errForwardsTwice},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := []byte("TRACE http://a/ HTTP/1.1\r\nHost: a\r\n" + row.fields + "\r\n")
			r := newRequest()
			if err := r.Parse(in, testLimits); err != nil {
				t.Fatal(err)
			}
			if got, err := r.MaxForwards(in); got != row.want || err != row.err {
				t.Errorf("got %d, %v; want %d, %v", got, err, row.want, row.err)
			}
		})
	}
}

// The new value takes the old one's place, and nothing else changes.
func TestAppendOriginFormSetsMaxForwards(t *testing.T) {
	for _, row := range []struct {
		name, fields, want string
		forwards           int64
	}{
		{"in its place", "A: b\r\nmax-forwards:  10 \r\nC: d\r\n", "A: b\r\nmax-forwards:  9\r\nC: d\r\n", 9},
		{"zero", "Max-Forwards: 1\r\n", "Max-Forwards: 0\r\n", 0},
		{"greatest", "Max-Forwards: 99999999999\r\n", "Max-Forwards: 2147483647\r\n", 1<<31 - 1},
		{"left alone", "Max-Forwards: x \r\n", "Max-Forwards: x \r\n", -1},
		{"not there", "A: b\r\n", "A: b\r\n", 3},
		{"hop-by-hop", "Connection: max-forwards\r\nMax-Forwards: 2\r\n", "", 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := []byte("OPTIONS http://a/ HTTP/1.1\r\nHost: a\r\n" + row.fields + "\r\n")
			r := newRequest()
			if err := r.Parse(in, testLimits); err != nil {
				t.Fatal(err)
			}
			got, ok := r.AppendOriginForm(nil, in, []byte("a"), row.forwards)
			if want := "OPTIONS / HTTP/1.1\r\nHost: a\r\n" + row.want + "\r\n"; string(got) != want || !ok {
				t.Errorf("got %q, %v; want %q", got, ok, want)
			}
		})
	}
}

// What TRACE is answered with is the head as it came, less what holds credentials (RFC 9110 section 9.3.8).
func TestAppendTrace(t *testing.T) {
	const line = "TRACE http://a.example/p?q HTTP/1.1\r\n"
	for _, row := range []struct{ name, in, want string }{
		{"as it came", line + "host:  a.example \r\nConnection: X-Hop\r\nX-Hop: 1\r\nMax-Forwards: 0\r\n\r\n",
			line + "host:  a.example \r\nConnection: X-Hop\r\nX-Hop: 1\r\nMax-Forwards: 0\r\n\r\n"},
		{"empty lines before it", "\r\n\r\n" + line + "Host: a\r\n\r\n", line + "Host: a\r\n\r\n"},
		{"content behind it", line + "Host: a\r\nContent-Length: 1\r\n\r\nx", line + "Host: a\r\nContent-Length: 1\r\n\r\n"},
		{"credentials", line + "Host: a\r\nAUTHORIZATION: Basic x\r\nCookie: a=b\r\nproxy-authorization: Basic y\r\ncookie: c=d\r\nCookies: 1\r\n\r\n",
			line + "Host: a\r\nCookies: 1\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRequest()
			if err := r.Parse([]byte(row.in), testLimits); err != nil {
				t.Fatal(err)
			}
			if got := r.AppendTrace([]byte("x"), []byte(row.in)); string(got) != "x"+row.want {
				t.Errorf("got %q; want %q", got, "x"+row.want)
			}
		})
	}
}
