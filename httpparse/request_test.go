package httpparse

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Other protocols are refused at the first byte that no request can hold there: refusedAt is how many have come by then.
// A first line that could be a request's, letter by letter, is refused at its end.
func TestOtherProtocolsEarly(t *testing.T) {
	for _, row := range []struct {
		name, sent string
		refusedAt  int
		want       error
	}{
		{"TLS ClientHello (RFC 8446 section 5.1)", "\x16\x03\x01\x02\x00\x01", 1, errControl},
		{"SSL 2 ClientHello", "\x80\x2e\x01\x00\x02", 1, ErrRequestLine},
		{"SOCKS4", "\x04\x01\x00\x50", 1, errControl},
		{"SOCKS5 (RFC 1928 section 3)", "\x05\x01\x00", 1, errControl},
		{"HTTP/2 preface (RFC 9113 section 3.4)", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 16, errVersion},
		{"HTTP/2 frames without preface", "\x00\x00\x12\x04\x00", 1, errControl},
		{"QUIC long header (RFC 9000 section 17.2)", "\xc3\x00\x00\x00\x01", 1, ErrRequestLine},
		{"SSH (RFC 4253 section 4.2)", "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", 32, ErrRequestLine},
		{"SMTP (RFC 5321 section 4.1.1.1)", "EHLO mail.example\r\n", 19, ErrRequestLine},
		{"RTSP", "OPTIONS rtsp://a/ RTSP/1.0\r\n", 28, ErrRequestLine},
		{"an HTTP response", "HTTP/1.1 200 OK\r\n", 5, ErrRequestLine}, // "/" is no tchar
		{"PROXY protocol 2", "\r\n\r\n\x00\r\nQUIT\n", 5, errControl},
		{"RDP", "\x03\x00\x00\x13", 1, errControl},
		{"MQTT", "\x10\x0e\x00\x04MQTT", 1, errControl},
		{"PostgreSQL", "\x00\x00\x00\x08\x04\xd2\x16\x2f", 1, errControl},
		{"AMQP", "AMQP\x00\x00\x09\x01", 5, errControl},
		{"JSON", "{\"a\": 1}\n", 1, ErrRequestLine},
		{"XML", "<?xml version", 1, ErrRequestLine},
		{"UTF-8 byte order mark", "\xef\xbb\xbfGET / HTTP/1.1\r\n", 1, ErrRequestLine},
		{"method that does not end", strings.Repeat("A", 99), 65, ErrRequestLine},
		{"space first", " GET / HTTP/1.1\r\n", 1, ErrRequestLine},
	} {
		sent := []byte(row.sent)
		for i := range row.refusedAt {
			if err := parseWhole(sent[:i], testLimits); err != ErrNeedMore {
				t.Errorf("%s: %d bytes: got %v; want more bytes needed", row.name, i, err)
			}
		}
		if err := parseWhole(sent[:row.refusedAt], testLimits); err != row.want {
			t.Errorf("%s: %d bytes: got %v; want %v", row.name, row.refusedAt, err, row.want)
		}
		if used, err := parsePieces(sent, testLimits, everyCut(sent)); used != row.refusedAt || err != row.want {
			t.Errorf("%s, byte by byte: got %v after %d bytes; want %v after %d", row.name, err, used, row.want, row.refusedAt)
		}
	}
}

// The first byte alone: those that begin a method or an empty line, and no others.
func TestFirstByte(t *testing.T) {
	for c := range 256 {
		b := []byte{byte(c)}
		want := refused
		if IsToken(b) || c == '\r' {
			want = open
		}
		if got := parseWhole(b, testLimits); verdictOf(got) != want {
			t.Errorf("byte %#02x: got %v; want %s", c, got, want)
		}
	}
}

// All 256 byte values in positions that TestEveryByte does not have: accepted holds the good ones.
func TestEveryByteOfRequests(t *testing.T) {
	const hex, letters = "0123456789abcdefABCDEF", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, row := range []struct{ name, before, after, accepted string }{
		{"first byte of the method", "", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "!#$%&'*+-.^_`|~0123456789" + letters},
		{"protocol name", "GET / ", "TTP/1.1\r\nHost: a\r\n\r\n", "H"},
		{"slash of the version", "GET / HTTP", "1.1\r\nHost: a\r\n\r\n", "/"},
		{"dot of the version", "GET / HTTP/1", "1\r\nHost: a\r\n\r\n", "."},
		{"behind the version", "GET / HTTP/1.1", "\r\nHost: a\r\n\r\n", ""},
		{"between CR and LF", "GET / HTTP/1.1\r", "\nHost: a\r\n\r\n", ""},
		{"behind the name", "GET / HTTP/1.1\r\nHost: a\r\nX", "\r\n\r\n", ":"},
		{"first byte of a field line", "GET / HTTP/1.1\r\nHost: a\r\n", "\r\n\r\n", ""},
		{"port of CONNECT", "CONNECT a:4", "3 HTTP/1.1\r\nHost: a\r\n\r\n", "0123456789"},
		{"name of CONNECT", "CONNECT a", "b:1 HTTP/1.1\r\nHost: a\r\n\r\n", "-._~0123456789" + letters},
		{"IPv6 address", "CONNECT [2001:db8::", "]:1 HTTP/1.1\r\nHost: a\r\n\r\n", ":" + hex},
		{"value of Host", "GET / HTTP/1.1\r\nHost: a", "b\r\n\r\n", "-._~0123456789" + letters},
		{"Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1", "2\r\n\r\n", "0123456789"},
		{"behind Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1", "\r\n\r\n", "0123456789 \t"},
		{"Transfer-Encoding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: c", "unked\r\n\r\n", "hH"},
		{"before chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:", "chunked\r\n\r\n", " \t"},
		{"behind chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked", "\r\n\r\n", " \t"},
	} {
		for c := range 256 {
			if row.name == "IPv6 address" && c == ':' {
				continue // ":::" is no address: TestSplitHost has it
			}
			in := row.before + string([]byte{byte(c)}) + row.after
			want := refused
			if strings.IndexByte(row.accepted, byte(c)) >= 0 {
				want = accepted
			}
			if err := parseWhole([]byte(in), testLimits); verdictOf(err) != want {
				t.Errorf("%s, byte %#02x: got %v; want it %s", row.name, c, err, want)
			}
		}
	}
}

// RFC 9112 section 9.3 for each combination of version and options. want is by the option's bit: for every set of
// options of a row, requests and responses.
func TestPersistsEveryCombination(t *testing.T) {
	lines := []struct {
		option Options
		line   string
	}{
		{OptionClose, "Connection: close\r\n"},
		{OptionKeepAlive, "Connection: Keep-Alive\r\n"},
		{OptionProxyClose, "Proxy-Connection: Close\r\n"},
		{OptionProxyKeepAlive, "Proxy-Connection: keep-alive\r\n"},
		{OptionUpgrade, "Connection: upgrade\r\n"},
	}
	for combination := range 2 << len(lines) {
		minor, set, fields := combination&1, combination>>1, ""
		var options Options
		for i, l := range lines {
			if set>>i&1 == 1 {
				fields += l.line
				options |= l.option
			}
		}
		request, response := persists(minor, fields)
		req, res := newRequest(), newResponse()
		if err := req.Parse(fmt.Appendf(nil, "GET / HTTP/1.%d\r\nHost: a\r\n%s\r\n", minor, fields), testLimits); err != nil {
			t.Fatal(err)
		}
		if err := res.Parse(fmt.Appendf(nil, "HTTP/1.%d 200 OK\r\n%s\r\n", minor, fields), testLimits); err != nil {
			t.Fatal(err)
		}
		if req.Options != options || res.Options != options {
			t.Errorf("1.%d %q: got options %b, %b; want %b", minor, fields, req.Options, res.Options, options)
		}
		if req.Persists() != request || res.Persists() != response {
			t.Errorf("1.%d %q: got %v, %v; want %v, %v", minor, fields, req.Persists(), res.Persists(), request, response)
		}
	}
}

// persists is RFC 9112 section 9.3 in its own order, on the text of the fields.
func persists(minor int, fields string) (request, response bool) {
	fields = strings.ToLower(fields)
	has := func(line string) bool { return strings.Contains("\n"+fields, "\n"+line) }
	switch {
	case has("connection: close"):
	case minor == 1, has("connection: keep-alive"):
		request, response = true, true
	}
	switch { // Proxy-Connection is for requests, and as good as Connection there
	case has("proxy-connection: close"):
		request = false
	case has("proxy-connection: keep-alive") && !has("connection: close"):
		request = true
	}
	return request, response
}

// RFC 9110 section 7.8: a sender of Upgrade must name it in Connection. Proxy-Connection is not Connection.
func TestHasUpgrade(t *testing.T) {
	for _, row := range []struct {
		name, fields string
		want         bool
	}{
		{"named", "Connection: upgrade\r\nUpgrade: websocket\r\n", true},
		{"named in capitals", "CONNECTION: UPGRADE\r\nUPGRADE: h2c\r\n", true},
		{"named in a list", "Upgrade: websocket\r\nConnection: a ,\tupgrade\t, b\r\n", true},
		{"named in a second line", "Upgrade: websocket\r\nConnection: a\r\nConnection: upgrade\r\n", true},
		{"not named", "Upgrade: websocket\r\nConnection: keep-alive\r\n", false},
		{"named without the field", "Connection: upgrade\r\n", false},
		{"named by a part", "Upgrade: websocket\r\nConnection: upgrades, xupgrade\r\n", false},
		{"named with spaces within", "Upgrade: websocket\r\nConnection: up grade\r\n", false},
		{"named by Proxy-Connection only", "Upgrade: websocket\r\nProxy-Connection: upgrade\r\n", false},
	} {
		req, res := newRequest(), newResponse()
		if err := req.Parse([]byte("GET / HTTP/1.1\r\nHost: a\r\n"+row.fields+"\r\n"), testLimits); err != nil {
			t.Fatal(err)
		}
		if err := res.Parse([]byte("HTTP/1.1 101 Switching\r\n"+row.fields+"\r\n"), testLimits); err != nil {
			t.Fatal(err)
		}
		if req.HasUpgrade() != row.want || res.HasUpgrade() != row.want {
			t.Errorf("%s: got %v, %v; want %v", row.name, req.HasUpgrade(), res.HasUpgrade(), row.want)
		}
	}
}

// RFC 9110 section 10.1.1.
func TestExpectsContinue(t *testing.T) {
	for _, row := range []struct {
		minor int
		value string
		want  bool
	}{
		{1, "100-continue", true},
		{1, "100-Continue", true},
		{0, "100-continue", false}, // a 1.0 client would take the 100 for the answer
		{1, "100-continue, x", false},
		{1, "", false},
	} {
		r := newRequest()
		head := fmt.Appendf(nil, "POST / HTTP/1.%d\r\nHost: a\r\nExpect: %s\r\n\r\n", row.minor, row.value)
		if err := r.Parse(head, testLimits); err != nil || r.ExpectsContinue() != row.want {
			t.Errorf("1.%d %q: got %v, %v; want %v", row.minor, row.value, r.ExpectsContinue(), err, row.want)
		}
	}
}

// Vectors of request smuggling beside those of badHeads: what one reader skips or repairs, another obeys (RFC 9112
// section 6.3, section 11.2).
func TestFramingVectors(t *testing.T) {
	for _, row := range []struct {
		name, fields string
		want         error
	}{
		{"length 0 before another", "Content-Length: 0\r\nContent-Length: 5\r\n", errLengthRepeated},
		{"length 0 behind another", "Content-Length: 5\r\nContent-Length: 0\r\n", errLengthRepeated},
		{"length 0 twice", "Content-Length: 0\r\nContent-Length: 0\r\n", errLengthRepeated},
		{"length far from its twin", "Content-Length: 5\r\nA: b\r\nC: d\r\ncONTENT-lENGTH: 5\r\n", errLengthRepeated},
		{"length with a comma behind it", "Content-Length: 5,\r\n", errLengthValue},
		{"length with NUL", "Content-Length: 5\x00\r\n", errControl},
		{"length behind a no-break space", "Content-Length: \xa05\r\n", errLengthValue},
		{"length in quotes", "Content-Length: \"5\"\r\n", errLengthValue},
		{"length with an underscore", "Content-Length: 1_0\r\n", errLengthValue},
		{"length as an exponent", "Content-Length: 1e1\r\n", errLengthValue},
		{"length of 19 digits, zeros first", "Content-Length: 0000000000000000005\r\n", errLengthValue},
		{"length of 2^64+5", "Content-Length: 18446744073709551621\r\n", errLengthValue},
		{"length with a space before the colon", "Content-Length : 5\r\n", errSpaceColon},
		{"length folded", "Content-Length:\r\n 5\r\n", errLengthValue},
		{"encoding with a space before the colon", "Transfer-Encoding : chunked\r\n", errSpaceColon},
		{"encoding folded", "Transfer-Encoding:\r\n chunked\r\n", errEncoding},
		{"encoding behind a no-break space", "Transfer-Encoding: \xa0chunked\r\n", errEncoding},
		{"encoding with a comma behind it", "Transfer-Encoding: chunked,\r\n", errEncoding},
		{"encoding with a comma before it", "Transfer-Encoding: ,chunked\r\n", errEncoding},
		{"encoding x before chunked", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", errEncoding},
		{"identity behind chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", errEncoding},
		{"encoding that begins like chunked", "Transfer-Encoding: chunkedx\r\n", errEncoding},
		{"encoding with a Kelvin sign", "Transfer-Encoding: chun\u212aed\r\n", errEncoding},
		{"encoding behind a bare CR", "A: b\rTransfer-Encoding: chunked\r\n", errBareCR},
		{"encoding behind a bare LF", "A: b\nTransfer-Encoding: chunked\r\n", errBareLF},
		{"encoding behind NUL", "A: b\x00Transfer-Encoding: chunked\r\n", errControl},
		{"chunked and length 0", "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", errLengthChunked},
		{"field name that only looks like length", "Content_Length: 5\r\nContent-Lengths: 6\r\nX-Content-Length: 7\r\n", nil},
		{"tab before chunked", "Transfer-Encoding:\tchunked\t\r\n", nil},
	} {
		b := []byte("POST / HTTP/1.1\r\nHost: a\r\n" + row.fields + "\r\n")
		if err := parseWhole(b, testLimits); err != row.want {
			t.Errorf("%s: got %v; want %v", row.name, err, row.want)
		}
		agree(t, b, testLimits, everyCut(b))
	}
}

func TestRequestBody(t *testing.T) {
	for _, row := range []struct {
		name, fields string
		want         Body
	}{
		{"none (RFC 9112 section 6.3 point 7)", "", Body{}},
		{"length 0", "Content-Length: 0\r\n", Body{}},
		{"length", "Content-Length: 5\r\n", Body{BodyLength, 5}},
		{"leading zeros", "Content-Length: 000000000000000005\r\n", Body{BodyLength, 5}},
		{"leading zero, which makes no octal (RFC 9110 section 8.6)", "Content-Length: 010\r\n", Body{BodyLength, 10}},
		{"largest length", "Content-Length: 999999999999999999\r\n", Body{BodyLength, 999999999999999999}},
		{"chunked", "Transfer-Encoding: CHUNKED\r\n", Body{Kind: BodyChunked}},
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "TRACE", "x"} {
			r := newRequest()
			if err := r.Parse([]byte(method+" / HTTP/1.1\r\nHost: a\r\n"+row.fields+"\r\n"), testLimits); err != nil || r.Body() != row.want {
				t.Errorf("%s, %s: got %+v, %v; want %+v", method, row.name, r.Body(), err, row.want)
			}
		}
	}
}

// Methods are case-sensitive (RFC 9110 section 9.1): "connect" makes no tunnel.
func TestMethods(t *testing.T) {
	for name, want := range map[string]Method{
		"CONNECT": MethodConnect, "GET": MethodGet, "HEAD": MethodHead, "OPTIONS": MethodOptions, "TRACE": MethodTrace, "POST": MethodPost,
		"PUT": MethodOther, "get": MethodOther, "Connect": MethodOther, "GETS": MethodOther, "GE": MethodOther,
	} {
		target := "/"
		if want == MethodConnect {
			target = "a:1"
		}
		r := newRequest()
		if err := r.Parse([]byte(name+" "+target+" HTTP/1.1\r\nHost: a\r\n\r\n"), testLimits); err != nil || r.Method != want {
			t.Errorf("%s: got %d, %v; want %d", name, r.Method, err, want)
		}
	}
	if err := parseWhole([]byte("connect a:443 HTTP/1.1\r\nHost: a\r\n\r\n"), testLimits); err != ErrTargetForm {
		t.Errorf("authority-form without CONNECT: got %v; want %v", err, ErrTargetForm)
	}
}

// A Request that is used again holds nothing of the head before it, good or bad.
func TestRequestReuse(t *testing.T) {
	heads := allHeads()
	opt := cmp.AllowUnexported(Request{}, head{})
	for _, b := range heads {
		want := newRequest()
		if want.Parse(b, testLimits) != nil {
			continue
		}
		for _, before := range heads {
			got := newRequest()
			_ = got.Parse(before, testLimits) // its verdict does not matter here
			if err := got.Parse(b, testLimits); err != nil {
				t.Fatalf("%q behind %q: %v", b, before, err)
			}
			if diff := cmp.Diff(want, got, opt); diff != "" {
				t.Fatalf("%q behind %q (-fresh +used):\n%s", b, before, diff)
			}
		}
	}
}
