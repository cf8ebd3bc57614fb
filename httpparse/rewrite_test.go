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
