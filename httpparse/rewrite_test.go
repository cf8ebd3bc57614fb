package httpparse

import "testing"

// A response of the target itself, as a proxy passes it on (RFC 9110 section 7.6.1).
func TestForwardedResponses(t *testing.T) {
	for _, row := range []struct {
		name, in, want string
		how            Rewrite
	}{
		{"end-to-end fields", "HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 2\r\n\r\n", Rewrite{Forwarded: true}},
		{"hop-by-hop fields", "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nProxy-Connection: close\r\nHost: a\r\n\r\n",
			"HTTP/1.1 200 OK\r\nHost: a\r\n\r\n", Rewrite{Forwarded: true}},
		{"named end-to-end field", "HTTP/1.1 200 OK\r\nConnection: close, Set-Cookie\r\nSet-Cookie: a\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", Rewrite{Forwarded: true, Connection: "close"}},
		{"Upgrade that is offered", "HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: b\r\n\r\n", "HTTP/1.1 426 Upgrade Required\r\nUpgrade: b\r\n\r\n", Rewrite{Forwarded: true}},
		{"chunks that stay", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: a\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: a\r\n\r\n", Rewrite{Forwarded: true}},
		{"chunks that are taken off", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: a\r\nA: b\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\n", Rewrite{Forwarded: true, Decoded: true, Connection: "close"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newResponse()
			if err := r.Parse([]byte(row.in), testLimits); err != nil {
				t.Fatal(err)
			}
			got, ok := r.Append([]byte("x"), []byte(row.in), row.how)
			if want := "x" + row.want; string(got) != want || !ok {
				t.Errorf("got %q, %v; want %q", got, ok, want)
			}
		})
	}
}

// A Connection goes on without the options that name fields which do not.
func TestOptionsGoWithTheirFields(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, row := range []struct {
		name, in, want string
		how            Rewrite
	}{
		{"alone", "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", "", Rewrite{Unframed: true}},
		{"among others", "connection: a,content-length , \tb\r\nContent-Length: 5\r\n", "Connection: a, b\r\n", Rewrite{Unframed: true}},
		{"on several lines", "Connection: content-length\r\nConnection:  a ,b\r\nContent-Length: 5\r\n", "Connection:  a ,b\r\n", Rewrite{Unframed: true}},
		{"folded", "Connection: a,\r\n content-length\r\nContent-Length: 5\r\n", "Connection: a\r\n", Rewrite{Unframed: true}},
		{"no such field", "Connection: content-length\r\nA: b\r\n", "A: b\r\n", Rewrite{Unframed: true}},
		{"Host", "Connection: host, a\r\nHost: a\r\n", "Connection: a\r\nHost: a\r\n", Rewrite{Unframed: true}},
		{"decoded", "Connection: trailer, a\r\nTrailer: A\r\nTransfer-Encoding: chunked\r\n", "Connection: a\r\n", Rewrite{Decoded: true}},
		{"fields that stay", "Connection: content-length\r\nContent-Length: 5\r\n", "Connection: content-length\r\nContent-Length: 5\r\n", Rewrite{}},
	} {
		r, head := newResponse(), []byte(ok+row.in+"\r\n")
		if err := r.Parse(head, testLimits); err != nil {
			t.Fatal(err)
		}
		got, _ := r.Append(nil, head, row.how)
		if want := ok + row.want + "\r\n"; string(got) != want || r.Passes(row.how) != (want == string(head)) {
			t.Errorf("%s: got %q, passes as it came: %v; want %q", row.name, got, r.Passes(row.how), want)
		}
	}
}
