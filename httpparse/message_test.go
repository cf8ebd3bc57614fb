package httpparse

import (
	"fmt"
	"strings"
	"testing"
)

// badResponses are response heads that are refused, each for the vector that it is named for, beside those in readings.
var badResponses = []struct {
	name, head string
	want       error
}{
	// RFC 9112 section 4: HTTP-version SP status-code SP [ reason-phrase ].
	{"not HTTP", "SSH-2.0-x\r\n", errStatusLine},
	{"HTTP/2", "HTTP/2 200 OK\r\n\r\n", errStatusLine},
	{"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", errVersion},
	{"status of two digits", "HTTP/1.1 20 OK\r\n\r\n", errStatusLine},
	{"status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", errStatusLine},
	{"status below 100", "HTTP/1.1 099 OK\r\n\r\n", errStatusLine},
	{"status with a sign", "HTTP/1.1 +20 OK\r\n\r\n", errStatusLine},
	{"two spaces", "HTTP/1.1  200 OK\r\n\r\n", errStatusLine},
	{"no status", "HTTP/1.1\r\n\r\n", errStatusLine},
	{"empty line first", "\r\nHTTP/1.1 200 OK\r\n\r\n", errStatusLine},
	{"HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n", errVersion},
	{"lower-case version", "http/1.1 200 OK\r\n\r\n", errStatusLine},
	{"version with a leading zero", "HTTP/01.1 200 OK\r\n\r\n", errStatusLine},
	{"version of two digits", "HTTP/1.01 200 OK\r\n\r\n", errStatusLine},
	{"version with a letter too few", "HTP/1.1 200 OK\r\n\r\n", errStatusLine},
	{"version of another protocol", "ICY 200 OK\r\n\r\n", errStatusLine},
	{"space first", " HTTP/1.1 200 OK\r\n\r\n", errStatusLine},
	{"request line", "GET / HTTP/1.1\r\n\r\n", errStatusLine},
	// RFC 9112 section 2.2.
	{"CR in the reason", "HTTP/1.1 200 O\rK\r\n\r\n", errBareCR},
	{"bare CR in a value", "HTTP/1.1 200 OK\r\nA: b\rc: d\r\n\r\n", errBareCR},
	{"NUL in a value", "HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n", errControl},
	{"CR and another response for the empty line", "HTTP/1.1 200 OK\r\n\rZHTTP/1.1 200 OK\r\n\r\n", errBareCR},
}

func TestBadResponses(t *testing.T) {
	for _, row := range badResponses {
		if err := newResponse().Parse([]byte(row.head), testLimits); err != row.want {
			t.Errorf("%s: got %v; want %v", row.name, err, row.want)
		}
	}
}

// goodResponses are response heads that are accepted.
var goodResponses = []string{
	// RFC 9112 section 4.
	"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 \r\n\r\n", "HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200  OK \r\n\r\n",
	"HTTP/1.0 999 \x80 what\tever\r\nA: b\r\n\r\n",
	// RFC 9112 section 5 and 6.
	"HTTP/1.1 200 OK\r\nContent-Length: 000000000000000005\r\nA:\r\nB: \t\x85b\xa0 \r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked \r\nTrailer: A\r\n\r\n",
	"HTTP/1.1 304 X\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
	"HTTP/1.1 101 X\r\nUpgrade: a\r\nConnection: keep-alive, upgrade\r\n\r\n",
}

func TestGoodResponses(t *testing.T) {
	for _, head := range goodResponses {
		for i := range head {
			if err := newResponse().Parse([]byte(head[:i]), testLimits); err != ErrNeedMore {
				t.Errorf("%q: got %v; want more bytes needed", head[:i], err)
			}
		}
		if r := newResponse(); r.Parse([]byte(head+"rest"), testLimits) != nil || r.End != len(head) {
			t.Errorf("%q: not accepted", head)
		}
	}
	if err := newResponse().Parse([]byte("HTTP/1.1 200 OK\r\nA: "+strings.Repeat("x", 40000)), testLimits); err != errHeadTooLarge {
		t.Errorf("endless head: got %v", err)
	}
}

// RFC 9112 section 6.3: where the content of a response ends.
func TestResponseBody(t *testing.T) {
	const length, chunked = "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"
	for _, row := range []struct {
		to     Method
		status int
		fields string
		want   Body
	}{
		{MethodGet, 200, length, Body{BodyLength, 5}},
		{MethodGet, 200, "Content-Length: 0\r\n", Body{}},
		{MethodGet, 200, chunked, Body{Kind: BodyChunked}},
		{MethodGet, 200, "", Body{Kind: BodyUntilClose}},
		{MethodHead, 200, length, Body{}},
		{MethodHead, 200, chunked, Body{}},
		{MethodHead, 200, "", Body{}},
		{MethodGet, 204, length, Body{}},
		{MethodGet, 304, length, Body{}},
		{MethodGet, 304, chunked, Body{}},
		{MethodGet, 205, length, Body{BodyLength, 5}},
		{MethodGet, 100, length, Body{}},
		{MethodGet, 101, "", Body{}},
		{MethodConnect, 200, length, Body{}},
		{MethodConnect, 299, chunked, Body{}},
		{MethodConnect, 300, length, Body{BodyLength, 5}},
		{MethodConnect, 407, chunked, Body{Kind: BodyChunked}},
		{MethodOther, 200, length, Body{BodyLength, 5}},
	} {
		r := newResponse()
		head := fmt.Sprintf("HTTP/1.1 %d X\r\n%s\r\n", row.status, row.fields)
		if err := r.Parse([]byte(head), testLimits); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Body(row.to); got != row.want || err != nil {
			t.Errorf("%d to method %d with %q: got %+v, %v; want %+v", row.status, row.to, row.fields, got, err, row.want)
		}
	}
}

// RFC 9112 section 9.3.
func TestPersists(t *testing.T) {
	for _, row := range []struct {
		minor             int
		fields            string
		request, response bool
	}{
		{1, "", true, true},
		{0, "", false, false},
		{1, "Connection: close\r\n", false, false},
		{1, "Connection: CLOSE\r\n", false, false},
		{1, "Connection: a,close ,b\r\n", false, false},
		{1, "Connection: a\r\nConnection: close\r\n", false, false},
		{1, "Connection: closed\r\n", true, true},
		{0, "Connection: keep-alive\r\n", true, true},
		{0, "Connection: close, keep-alive\r\n", false, false},
		{0, "Proxy-Connection: keep-alive\r\n", true, false},
		{1, "Proxy-Connection: close\r\n", false, true},
	} {
		req, res := newRequest(), newResponse()
		if err := req.Parse(fmt.Appendf(nil, "GET / HTTP/1.%d\r\nHost: a\r\n%s\r\n", row.minor, row.fields), testLimits); err != nil {
			t.Fatal(err)
		}
		if err := res.Parse(fmt.Appendf(nil, "HTTP/1.%d 200 OK\r\n%s\r\n", row.minor, row.fields), testLimits); err != nil {
			t.Fatal(err)
		}
		if req.Persists() != row.request || res.Persists() != row.response {
			t.Errorf("1.%d %q: got %v, %v; want %v, %v", row.minor, row.fields, req.Persists(), res.Persists(), row.request, row.response)
		}
	}
}

func TestUpgradeAndExpect(t *testing.T) {
	for _, row := range []struct {
		fields          string
		upgrade, expect bool
	}{
		{"Connection: Upgrade\r\nUpgrade: websocket\r\n", true, false},
		{"Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\n", true, false},
		{"Upgrade: websocket\r\n", false, false},
		{"Connection: Upgrade\r\n", false, false},
		{"Expect: 100-Continue\r\n", false, true},
		{"Expect: something\r\n", false, false},
	} {
		r := newRequest()
		if err := r.Parse([]byte("GET / HTTP/1.1\r\nHost: a\r\n"+row.fields+"\r\n"), testLimits); err != nil {
			t.Fatal(err)
		}
		if r.HasUpgrade() != row.upgrade || r.ExpectsContinue() != row.expect {
			t.Errorf("%q: got upgrade %v, expect %v", row.fields, r.HasUpgrade(), r.ExpectsContinue())
		}
	}
}

// chunked feeds a body to Chunks in pieces of n bytes.
func chunked(body string, n int) (data string, used int, done bool, err error) {
	return chunkedBy(new(Chunks), body, n)
}

// chunkedBy is chunked for any Chunks.
func chunkedBy(c *Chunks, body string, n int) (data string, used int, done bool, err error) {
	for used < len(body) && !c.Done() {
		piece := []byte(body[used:min(used+n, len(body))])
		for len(piece) > 0 && !c.Done() {
			m, d, err := c.Next(piece)
			data += string(d)
			used += m
			if err != nil {
				return data, used, false, err
			}
			piece = piece[m:]
		}
	}
	return data, used, c.Done(), nil
}

// goodChunks are chunked bodies that are accepted, beside chunkedBodies (RFC 9112 section 7.1).
var goodChunks = []struct{ name, body, data string }{
	{"one", "3\r\nabc\r\n0\r\n\r\n", "abc"},
	{"none", "0\r\n\r\n", ""},
	{"two", "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc"},
	{"hexadecimal of both cases", "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789"},
	{"leading zeros", "00003\r\nabc\r\n0000\r\n\r\n", "abc"},
	{"quoted extension", "3;a=\"b;c\"\r\nabc\r\n0;d\r\n\r\n", "abc"},
	{"escaped quote", "3;a=\"b\\\"c\"\r\nabc\r\n0\r\n\r\n", "abc"},
	{"trailers", "0\r\nA: b\r\nC:\r\n\r\n", ""},
	{"trailer that looks like a request", "0\r\nX:POST / HTTP/1.1\r\n\r\n", ""}, // the end is not four bytes behind the last chunk
	{"data that looks like framing", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"},
}

func TestGoodChunks(t *testing.T) {
	for _, row := range goodChunks {
		for n := 1; n <= len(row.body); n++ {
			data, used, done, err := chunked(row.body+"rest", n)
			if err != nil || !done || data != row.data || used != len(row.body) {
				t.Errorf("%s in pieces of %d: got %q, %d of %d bytes, done %v, %v; want %q", row.name, n, data, used, len(row.body), done, err, row.data)
			}
		}
	}
}

// badChunks are chunked bodies that are refused, each for the vector that it is named for.
var badChunks = []struct {
	name, body string
	want       error
}{
	// RFC 9112 section 7.1: 1*HEXDIG.
	{"plus", "+3\r\n", errChunkSize},
	{"minus", "-3\r\n", errChunkSize},
	{"0x", "0x3\r\n", errChunkSize},
	{"empty size", "\r\n", errChunkSize},
	{"extension without a size", ";a\r\n", errChunkSize},
	{"space before the size", " 3\r\n", errChunkSize},
	{"space behind the size", "3 \r\n", errChunkSize},
	{"tab behind the size", "3\t;a\r\n", errChunkSize},
	{"bare LF behind the size", "3\nabc", errChunkSize},
	{"bare CR behind the size", "3\rabc", errChunkSize},
	{"underscore", "0_3\r\n", errChunkSize},
	{"letter that is no digit", "G\r\n", errChunkSize},
	{"letter behind a digit", "3g\r\n", errChunkSize},
	{"digit of full width", "\uff13\r\n", errChunkSize},
	{"two CRs behind the size", "3\r\r;a\r\n", errChunkSize},
	{"two CRs behind an extension", "3;a\r\rabc\r\n", errChunkSize},
	{"extension without a semicolon", "3 a\r\nabc\r\n", errChunkSize},
	{"space before the semicolon", "3 ;a\r\nabc\r\n", errChunkSize},
	{"empty line for the last chunk", "3\r\nabc\r\n\r\n", errChunkSize},
	{"size of -1 in 64 bits", "ffffffffffffffff\r\n", errChunkSize},
	{"size of 2^63", "8000000000000000\r\n", errChunkSize},
	{"size that overflows to 1", "10000000000000001\r\n", errChunkSize},
	{"no CRLF behind the data", "3\r\nabc0\r\n\r\n", errChunkEnd},
	{"LF behind the data", "3\r\nabc\n0\r\n\r\n", errChunkEnd},
	{"CR alone behind the data", "3\r\nabc\r0\r\n\r\n", errChunkEnd},
	{"more data than the size", "3\r\nabcd\r\n0\r\n\r\n", errChunkEnd},
	{"less data than the size", "3\r\nab\r\n0\r\n\r\n", errChunkEnd},
	// RFC 9112 section 7.1.1.
	{"control character in an extension", "3;a\x00\r\n", errChunkExtension},
	{"LF in an extension", "3;a\nabc", errChunkExtension},
	{"CR in a quote", "3;a=\"\r\n", errChunkExtension},
	{"quote that an escape keeps open", "3;a;b=c;d=\"e;\\\"\r\nabc\r\n", errChunkExtension},
	{"CR without LF behind an extension", "3;a\rx", errChunkSize},
	{"endless zeros", strings.Repeat("0", 2000), errChunkLine},
	{"endless extension", "3;" + strings.Repeat("a", 2000), errChunkLine},
	{"extensions that outweigh the data", strings.Repeat("1;"+strings.Repeat("a", 1000)+"\r\nx\r\n", 20), errChunkLine},
	{"leading zeros that outweigh the data", strings.Repeat(strings.Repeat("0", 1000)+"1\r\nx\r\n", 20), errChunkLine},
	// RFC 9112 section 7.1.2, RFC 9110 section 6.5.1.
	{"trailer without a colon", "0\r\nA\r\n\r\n", errTrailer},
	{"trailer with space before the colon", "0\r\nA : b\r\n\r\n", errTrailer},
	{"folded trailer", "0\r\nA: b\r\n c\r\n\r\n", errTrailer},
	{"trailer with an empty name", "0\r\n: b\r\n\r\n", errTrailer},
	{"bare LF in a trailer", "0\r\nA: b\n\r\n", errTrailer},
	{"bare CR in a trailer", "0\r\nA: b\rc\r\n\r\n", errTrailer},
	{"bare LF at the end", "0\r\n\n", errTrailer},
	{"CR and another byte at the end", "0\r\n\rX", errTrailer},
	{"NUL in a trailer", "0\r\nA: b\x00\r\n\r\n", errTrailer},
	{"obs-text in a trailer's name", "0\r\nA\xa0: b\r\n\r\n", errTrailer},
	{"endless trailers", "0\r\n" + strings.Repeat("A: b\r\n", 2000), errTrailerSize},
	{"Content-Length as a trailer", "0\r\nContent-length: 5\r\n\r\n", errTrailerField},
	{"Transfer-Encoding as a trailer", "0\r\ntransfer-ENCODING: chunked\r\n\r\n", errTrailerField},
	{"Host as a trailer", "0\r\nHost: a\r\n\r\n", errTrailerField},
	{"Proxy-Authorization as a trailer", "0\r\nA: b\r\nProxy-Authorization: a\r\n\r\n", errTrailerField},
}

func TestBadChunks(t *testing.T) {
	for _, row := range badChunks {
		for _, n := range []int{1, 7, len(row.body)} {
			if _, _, _, err := chunked(row.body, n); err != row.want {
				t.Errorf("%s in pieces of %d: got %v; want %v", row.name, n, err, row.want)
			}
		}
	}
}

func TestChunksLeft(t *testing.T) {
	var c Chunks
	if _, _, err := c.Next([]byte("10000\r\n")); err != nil || c.Left() != 65536 {
		t.Errorf("got %d (%v); want 65536", c.Left(), err)
	}
	if _, _, err := c.Next([]byte("abc")); err != nil || c.Left() != 65533 {
		t.Errorf("got %d (%v); want 65533", c.Left(), err)
	}
	// A size that 32 bits would make 3 of.
	c = Chunks{}
	if _, _, err := c.Next([]byte("100000003\r\n")); err != nil || c.Left() != 1<<32+3 {
		t.Errorf("got %d (%v); want 2^32+3", c.Left(), err)
	}
	// The largest size that there is.
	c = Chunks{}
	if _, _, err := c.Next([]byte("7fffffffffffffff\r\n")); err != nil || c.Left() != 1<<63-1 {
		t.Errorf("got %d (%v); want 2^63-1", c.Left(), err)
	}
	// Extensions may be long in all where they come with data.
	body := strings.Repeat("400;"+strings.Repeat("a", 900)+"\r\n"+strings.Repeat("x", 1024)+"\r\n", 100)
	if _, _, _, err := chunked(body, 4096); err != nil {
		t.Errorf("100 signed chunks: %v", err)
	}
}

func TestNoAllocations(t *testing.T) {
	req, res := newRequest(), newResponse()
	request := []byte(goodHeads[0].head)
	response := []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/html\r\n\r\n")
	body := []byte("3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n")
	address := []byte("[2001:db8:1111:2222:3333:4444:5555:6666]:443")
	for name, f := range map[string]func(){
		"request":  func() { _ = req.Parse(request, testLimits) },
		"response": func() { _ = res.Parse(response, testLimits) },
		"progress": func() { _ = progress(request, 16) },
		"chunks": func() {
			var c Chunks
			for b := body; len(b) > 0; {
				n, _, _ := c.Next(b)
				b = b[n:]
			}
		},
		"IPv6": func() { _, _, _ = SplitHost(address) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
