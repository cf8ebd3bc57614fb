package httpparse

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The content of a response for each method, status and framing, against RFC 9112 section 6.3 read aloud.
func TestResponseBodyEveryCase(t *testing.T) {
	framings := map[string]Body{
		"":                               {Kind: BodyUntilClose},        // point 8
		"Content-Length: 0\r\n":          {},                            // point 6
		"Content-Length: 7\r\n":          {Kind: BodyLength, Length: 7}, // point 6
		"Transfer-Encoding: chunked\r\n": {Kind: BodyChunked},           // point 4
	}
	for status := 100; status <= 999; status++ {
		for fields, framed := range framings {
			r := newResponse()
			if err := r.Parse(fmt.Appendf(nil, "HTTP/1.1 %d\r\n%s\r\n", status, fields), testLimits); err != nil || r.Status != status {
				t.Fatalf("%d: got %d, %v", status, r.Status, err)
			}
			for method := MethodOther; method <= MethodPost; method++ {
				want := framed
				switch {
				case method == MethodHead, status < 200, status == 204, status == 304: // point 1
					want = Body{}
				case method == MethodConnect && status <= 299: // point 2
					want = Body{}
				}
				if got, err := r.Body(method); got != want || err != nil {
					t.Errorf("%d to method %d with %q: got %+v, %v; want %+v", status, method, fields, got, err, want)
				}
			}
		}
	}
}

// All 256 byte values in the positions of a status line and its end.
func TestEveryByteOfResponses(t *testing.T) {
	const text = "all but NUL and CR" // RFC 9112 section 4 has HTAB, SP, VCHAR and obs-text in a reason-phrase; LF ends the line
	for _, row := range []struct{ name, before, after, accepted string }{
		{"protocol name", "HT", "P/1.1 200 OK\r\n\r\n", "T"},
		{"major version", "HTTP/", ".1 200 OK\r\n\r\n", "1"},
		{"minor version", "HTTP/1.", " 200 OK\r\n\r\n", "01"},
		{"before the status", "HTTP/1.1", "200 OK\r\n\r\n", " "},
		{"first digit", "HTTP/1.1 ", "00 OK\r\n\r\n", "123456789"},
		{"second digit", "HTTP/1.1 2", "0 OK\r\n\r\n", "0123456789"},
		{"third digit", "HTTP/1.1 20", " OK\r\n\r\n", "0123456789"},
		{"behind the status", "HTTP/1.1 200", "OK\r\n\r\n", " \n"},
		{"end of a bare status", "HTTP/1.1 200", "\r\n\r\n", " \n"},
		{"reason", "HTTP/1.1 200 O", "K\r\n\r\n", text},
		{"between CR and LF", "HTTP/1.1 200 OK\r", "\n\r\n", "\n"},
		{"value", "HTTP/1.1 200 OK\r\nA: b", "c\r\n\r\n", text},
	} {
		for c := range 256 {
			in := row.before + string([]byte{byte(c)}) + row.after
			want := refused
			if row.accepted == text && c != 0 && c != '\r' || row.accepted != text && strings.IndexByte(row.accepted, byte(c)) >= 0 {
				want = accepted
			}
			if err := newResponse().Parse([]byte(in), testLimits); verdictOf(err) != want {
				t.Errorf("%s, byte %#02x: got %v; want it %s", row.name, c, err, want)
			}
		}
	}
}

func TestResponseLimits(t *testing.T) {
	lim := Limits{Head: 60, Target: 1} // the target's has no meaning here
	const line = "HTTP/1.1 200 OK\r\nA: "
	pad := func(n int) string { return line + strings.Repeat("x", n-len(line)-4) + "\r\n\r\n" }
	many := "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", MaxFields)
	for _, row := range []struct {
		name, head string
		lim        Limits
		want       error
	}{
		{"at the limit", pad(60), lim, nil},
		{"over the limit", pad(61), lim, errHeadTooLarge},
		{"at the limit, content behind it", pad(60) + "content", lim, nil},
		{"incomplete below the limit", pad(80)[:59], lim, ErrNeedMore},
		{"incomplete at the limit", pad(80)[:60], lim, errHeadTooLarge},
		{"endless status line", "HTTP/1.1 200 " + strings.Repeat("x", 60), lim, errHeadTooLarge},
		{"256 field lines", many + "\r\n", testLimits, nil},
		{"257 field lines", many + "A: b\r\n\r\n", testLimits, errTooManyFields},
		{"bytes of TLS", "\x15\x03\x01\x00\x02\x02\x46", testLimits, errControl},
		{"HTTP/0.9 content", "<html>\r\n", testLimits, errStatusLine},
	} {
		if err := newResponse().Parse([]byte(row.head), row.lim); err != row.want {
			t.Errorf("%s: got %v; want %v", row.name, err, row.want)
		}
	}
}

// A Response that is used again holds nothing of the head before it.
func TestResponseReuse(t *testing.T) {
	for _, before := range []string{
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 9, x\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 9, x\r\n\r\n",
		"HTTP/1.1 101 OK\r\nUpgrade: a\r\nConnection: upgrade, close\r\nContent-Length: 9\r\nContent-Length: 9\r\n\r\n",
	} {
		r := newResponse()
		if r.Parse([]byte(before), testLimits) != nil || r.Odd == 0 {
			t.Errorf("%q: not odd", before)
		}
		head := []byte("HTTP/1.1 200 OK\r\nA: b\r\n\r\n")
		if err := r.Parse(head, testLimits); err != nil {
			t.Fatal(err)
		}
		fresh := newResponse()
		_ = fresh.Parse(head, testLimits) // as above
		if body, _ := r.Body(MethodGet); body != (Body{Kind: BodyUntilClose}) || r.Odd != 0 || !r.Persists() || r.HasUpgrade() || !slices.Equal(r.Fields, fresh.Fields) {
			t.Errorf("behind %q: got %+v", before, r)
		}
	}
}
