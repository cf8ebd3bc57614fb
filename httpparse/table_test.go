package httpparse

import (
	"bytes"
	"testing"
)

var testLimits = Limits{Head: 32 << 10, Target: 16 << 10}

func newRequest() *Request { return &Request{head: head{Fields: make([]Field, 0, MaxFields)}} }

func newResponse() *Response { return &Response{head: head{Fields: make([]Field, 0, MaxFields)}} }

// progress feeds b to a Progress in pieces of n bytes and returns the last verdict.
func progress(b []byte, n int) error {
	var p Progress
	for end := n; ; end += n {
		end = min(end, len(b))
		err := p.Next(b[:end:end], testLimits)
		if err != ErrNeedMore || end == len(b) {
			return err
		}
	}
}

// badHeads are request heads that are refused, each for the vector that it is named for.
var badHeads = []struct {
	name, head string
	want       error
}{
	// RFC 9112 section 2.2: lines end with CRLF.
	{"bare LF behind the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", errBareLF},
	{"bare LF behind a field line", "GET / HTTP/1.1\r\nHost: a\n\r\n", errBareLF},
	{"bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n", errBareLF},
	{"bare CR in the request line", "GET /\ra HTTP/1.1\r\nHost: a\r\n\r\n", errBareCR},
	{"bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nA: b\rc: d\r\n\r\n", errBareCR},
	{"bare CR in a name", "GET / HTTP/1.1\r\nHost: a\r\nA\rb: c\r\n\r\n", errBareCR},
	{"two CRs", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", errBareCR},
	{"nine empty lines", "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", errEmptyLines},
	{"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nA: b\x00c\r\n\r\n", errControl},
	{"NUL in a name", "GET / HTTP/1.1\r\nHost: a\r\nA\x00: c\r\n\r\n", errControl},
	{"NUL in the target", "GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", errControl},
	{"DEL in a value", "GET / HTTP/1.1\r\nHost: a\r\nA: \x7f\r\n\r\n", errControl},
	{"bare LF among the empty lines", "\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", errBareLF},
	{"two CRs as an empty line", "\r\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", errBareCR},
	{"LF for the second space", "GET /\nHTTP/1.1\r\nHost: a\r\n\r\n", errBareLF},
	{"LF behind a colon", "POST / HTTP/1.1\r\nHost: a\r\nA:\nTransfer-Encoding: chunked\r\n\r\n", errBareLF},
	{"CR behind a colon", "POST / HTTP/1.1\r\nHost: a\r\nA:\rTransfer-Encoding: chunked\r\n\r\n", errBareCR},
	{"two CRs behind a value", "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\r\n\r\n", errBareCR},
	{"CR and a request for the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\rZGET /b: HTTP/1.1\r\nHost: a\r\n\r\n", errBareCR},
	{"CRs in the version", "GET / HTTP/\r\r1.1\r\nHost: a\r\n\r\n", errBareCR},
	{"NUL for a method", "\x00 / HTTP/1.1\r\nHost: a\r\n\r\n", errControl},
	{"NUL that cuts a Host short", "GET / HTTP/1.1\r\nHost: a\x00.b\r\n\r\n", errControl},
	{"vertical tab for a space", "GET /\vHTTP/1.1\r\nHost: a\r\n\r\n", errControl},
	// RFC 9112 section 3: method SP request-target SP HTTP-version.
	{"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", errTarget},
	{"space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", errTarget},
	{"tab for a space", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"space at the end", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", ErrRequestLine},
	{"space at the beginning", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"delimiter in the method", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"obs-text in the method", "G\x80T / HTTP/1.1\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"method of 65 bytes", string(bytes.Repeat([]byte("A"), 65)) + " / HTTP/1.1\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"space in a fragment", "GET /#a b HTTP/1.1\r\nHost: a\r\n\r\n", errTarget},
	{"two spaces before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", errTarget},
	{"version twice", "GET / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n", errTarget},
	{"tab before the version", "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"no-break space for a space", "GET\xa0/ HTTP/1.1\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"a field line for the request line", "Host: a\r\n\r\n", ErrRequestLine},
	// RFC 9112 section 2.3, RFC 9110 section 2.5.
	{"HTTP/0.9", "GET /\r\n\r\n", ErrRequestLine},
	{"HTTP/0.9 by name", "GET / HTTP/0.9\r\n\r\n", errVersion},
	{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", errVersion},
	{"HTTP/2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", errVersion},
	{"HTTP/3.0", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", errVersion},
	{"lower-case version", "GET / http/1.1\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"version of one digit", "GET / HTTP/1\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"version of many digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"version with a comma", "GET / HTTP/1,1\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"version with a leading zero", "GET / HTTP/01.1\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"version that overflows to 1", "GET / HTTP/4294967297.1\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"version of another protocol", "GET / ICY/1.1\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"HTTP/2 without its minor", "GET / HTTP/2\r\nHost: a\r\n\r\n", ErrRequestLine},
	// RFC 9112 section 5.
	{"space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", errSpaceColon},
	{"tab before the colon", "GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", errSpaceColon},
	{"no colon", "GET / HTTP/1.1\r\nHost\r\n\r\n", errNoColon},
	{"empty name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", errFieldName},
	{"delimiter in a name", "GET / HTTP/1.1\r\nHost: a\r\nA(b): c\r\n\r\n", errFieldName},
	{"space in a name", "GET / HTTP/1.1\r\nHost: a\r\nA b: c\r\n\r\n", errSpaceColon},
	{"folded line", "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", errFold},
	{"folded with a tab", "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\tc\r\n\r\n", errFold},
	{"folded first line", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", errFold},
	{"space as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n \r\n\r\n", errFold},
	{"name over two lines", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-\r\nEncoding: chunked\r\n\r\n", errNoColon},
	{"space for the colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length 5\r\n\r\n", errSpaceColon},
	{"a request line among the fields", "GET / HTTP/1.1\r\nHost: a\r\nGET /b HTTP/1.1\r\n\r\n", errSpaceColon},
	{"colon alone", "GET / HTTP/1.1\r\nHost: a\r\n:\r\nA: b\r\n\r\n", errFieldName},
	{"no-break space before the colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length\xa0: 5\r\n\r\n", errFieldName},
	{"obs-text first in a name", "GET / HTTP/1.1\r\nHost: a\r\n\xffA: b\r\n\r\n", errFieldName},
	// RFC 9112 section 3.2, RFC 9110 section 7.2.
	{"no Host", "GET / HTTP/1.1\r\n\r\n", errHostMissing},
	{"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", errHostRepeated},
	{"two empty Hosts", "GET / HTTP/1.1\r\nHost:\r\nHost:\r\n\r\n", errHostRepeated},
	{"list of Hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", ErrHostValue},
	{"Host with user information", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", ErrUserinfoOfHost},
	{"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", ErrHostValue},
	{"Host with a bad port", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", ErrHostValue},
	{"no Host, asterisk-form", "OPTIONS * HTTP/1.1\r\n\r\n", errHostMissing},
	{"two Hosts in HTTP/1.0", "GET http://a/ HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", errHostRepeated},
	{"empty Host before another", "GET / HTTP/1.1\r\nHost:\r\nA: b\r\nHost: a\r\n\r\n", errHostRepeated},
	{"Host with a scheme", "GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", ErrHostValue},
	{"Host with port 0", "GET / HTTP/1.1\r\nHost: a:0\r\n\r\n", ErrHostValue},
	{"Host of a port alone", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n", ErrHostValue},
	{"Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", ErrHostValue},
	{"Host in obs-text", "GET / HTTP/1.1\r\nHost: \xffa\xff\r\n\r\n", ErrHostValue},
	{"Host in UTF-8 that is cut short", "GET / HTTP/1.1\r\nHost: m\xc3.example\r\n\r\n", ErrHostValue},
	{"Host in UTF-8 that is too long for its rune", "GET / HTTP/1.1\r\nHost: m\xc0\xafb\r\n\r\n", ErrHostValue},
	{"Host in UTF-8 with a surrogate", "GET / HTTP/1.1\r\nHost: m\xed\xa0\x80\r\n\r\n", ErrHostValue},
	{"Host in UTF-8 with a delimiter", "GET / HTTP/1.1\r\nHost: mü;b\r\n\r\n", ErrHostValue},
	{"Host with a fragment", "GET / HTTP/1.1\r\nHost: a#b\r\n\r\n", ErrHostValue},
	{"Host with a backslash", "GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n", ErrHostValue},
	{"Host with an IPv6 zone", "GET / HTTP/1.1\r\nHost: [fe80::1%25a]\r\n\r\n", ErrHostValue},
	// RFC 9112 sections 6.1 to 6.3.
	{"length and chunked", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", errLengthChunked},
	{"chunked and length", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", errLengthChunked},
	{"two equal lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", errLengthRepeated},
	{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\n", errLengthRepeated},
	{"list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", errLengthValue},
	{"length with a plus", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", errLengthValue},
	{"length with a minus", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", errLengthValue},
	{"length with a space", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 1\r\n\r\n", errLengthValue},
	{"hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", errLengthValue},
	{"length with a dot", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1.0\r\n\r\n", errLengthValue},
	{"empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", errLengthValue},
	{"length of 19 digits", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n", errLengthValue},
	{"gzip, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", errEncoding},
	{"chunked, gzip", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", errEncoding},
	{"identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", errEncoding},
	{"chunked twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", errEncoding},
	{"chunked in a list twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", errEncoding},
	{"chunked with a parameter", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;a=b\r\n\r\n", errEncoding},
	{"quoted chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", errEncoding},
	{"empty encoding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", errEncoding},
	{"chunked with vertical tab", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \vchunked\r\n\r\n", errControl},
	{"chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", errEncoding10},
	{"CONNECT with a length", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\n", errConnectBody},
	{"CONNECT with two lengths of 0", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", errLengthRepeated},
	{"CONNECT with a signed length", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: -0\r\n\r\n", errLengthValue},
	{"CONNECT chunked", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n\r\n", errConnectBody},
	{"length with a letter behind it", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1Z\r\n\r\n", errLengthValue},
	{"length in a digit of full width", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \uff15\r\n\r\n", errLengthValue},
	{"empty length before another", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\nContent-Length: 5\r\n\r\n", errLengthValue},
	{"empty length behind another", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length:\r\n\r\n", errLengthRepeated},
	{"length behind a form feed", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \f5\r\n\r\n", errControl},
	{"length and identity", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: identity\r\n\r\n", errEncoding},
	{"length and an empty encoding", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding:\r\n\r\n", errEncoding},
	{"chunked before an empty encoding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding:\r\n\r\n", errEncoding},
	{"an encoding that nobody knows", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: pigeons\r\n\r\n", errEncoding},
	{"length and chunked in HTTP/1.0", "POST / HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", errLengthChunked},
	// RFC 9110 section 7.6.1: these are end-to-end.
	{"Connection: content-length", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Content-Length\r\n\r\n", errOptionFraming},
	{"Connection: transfer-encoding", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, transfer-encoding\r\n\r\n", errOptionFraming},
	{"Connection: host", "GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n", errOptionFraming},
	{"Proxy-Connection: transfer-encoding", "GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: Transfer-Encoding\r\n\r\n", errOptionFraming},
}

func TestBadHeads(t *testing.T) {
	for _, row := range badHeads {
		t.Run(row.name, func(t *testing.T) {
			if err := newRequest().Parse([]byte(row.head), testLimits); err != row.want {
				t.Errorf("got %v; want %v", err, row.want)
			}
			// Byte by byte, what is wrong within one line is found there; the rest when the head is complete.
			if err := progress([]byte(row.head), 1); err != nil && err != row.want {
				t.Errorf("byte by byte: got %v; want %v, or nothing yet", err, row.want)
			}
		})
	}
}

// Other protocols are refused at the first bytes that HTTP cannot begin with.
func TestOtherProtocols(t *testing.T) {
	for _, row := range []struct {
		name, bytes string
		want        error
	}{
		{"TLS", "\x16", errControl},
		{"SOCKS5", "\x05", errControl},
		{"SSH", "SSH-2.0-OpenSSH_9.2\r\n", ErrRequestLine},
		{"SMTP", "EHLO a\r\n", ErrRequestLine},
		{"PROXY", "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n", ErrRequestLine},
		{"Redis", "*1\r\n", ErrRequestLine},
		{"line without CR", "QUIT\n", errBareLF},
	} {
		for i := 1; i < len(row.bytes); i++ {
			if err := newRequest().Parse([]byte(row.bytes[:i]), testLimits); err != ErrNeedMore {
				t.Errorf("%s: %q: got %v; want more bytes needed", row.name, row.bytes[:i], err)
			}
		}
		if err := newRequest().Parse([]byte(row.bytes), testLimits); err != row.want {
			t.Errorf("%s: got %v; want %v", row.name, err, row.want)
		}
		if err := progress([]byte(row.bytes), 1); err != row.want {
			t.Errorf("%s, byte by byte: got %v; want %v", row.name, err, row.want)
		}
	}
}

// goodHeads are request heads that are accepted.
var goodHeads = []struct{ name, head string }{
	// RFC 9112 section 3.2: the forms, with and without Host.
	{"curl", "GET http://example.com/a?b=c HTTP/1.1\r\nHost: example.com\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\nProxy-Connection: Keep-Alive\r\n\r\n"},
	{"CONNECT", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"},
	{"HTTP/1.0 without Host", "GET http://a/ HTTP/1.0\r\n\r\n"},
	{"no fields but Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
	{"CONNECT with a Host without its port", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"Host of another authority", "GET http://a/ HTTP/1.1\r\nHost: b:81\r\n\r\n"}, // RFC 9112 section 3.2.2: it does not count
	{"empty Host, absolute-form", "GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n"},
	{"no Host, absolute-form", "GET http://a/ HTTP/1.1\r\n\r\n"},
	{"no Host, CONNECT", "CONNECT a:1 HTTP/1.1\r\n\r\n"},
	{"CONNECT with a length of 0", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 0\r\n\r\n"},
	{"a scheme of WebSocket", "GET ws://a/ HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"fragment", "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"fragment behind a host", "GET http://a#b/ HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"user information", "GET http://me:pw@a/ HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"Host in UTF-8", "GET http://münchen.example/ HTTP/1.1\r\nHost: münchen.example\r\n\r\n"},
	{"Host in UTF-8 with a port", "GET / HTTP/1.1\r\nHost: 例。example:81\r\n\r\n"},
	{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"IPv6", "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n"},
	{"obs-text in the path", "GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n"},
	// RFC 9112 section 2.2, RFC 9110 section 9.1.
	{"eight empty lines", "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"any token as a method", "x!#$%&'*+-.^_`|~9 / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"lower-case method", "get / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"method of 64 bytes", string(bytes.Repeat([]byte("A"), 64)) + " / HTTP/1.1\r\nHost: a\r\n\r\n"},
	// RFC 9112 section 6, RFC 9110 section 8.6.
	{"length with leading zeros", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 000000000000000042\r\n\r\n"},
	{"length of 18 digits", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999999999\r\n\r\n"},
	{"chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"},
	{"length on a GET", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"},
	{"length in HTTP/1.0", "POST http://a/ HTTP/1.0\r\nContent-Length: 0\r\n\r\n"},
	// RFC 9112 section 5, RFC 9110 section 5.5.
	{"obs-text in a value", "GET / HTTP/1.1\r\nHost: a\r\nA: \x80\xff\r\n\r\n"},
	{"empty value", "GET / HTTP/1.1\r\nHost: a\r\nA:\r\n\r\n"},
	{"white space around a value", "GET / HTTP/1.1\r\nHost:\t a \t\r\nA:  b  c  \r\n\r\n"},
}

func TestGoodHeads(t *testing.T) {
	for _, row := range goodHeads {
		t.Run(row.name, func(t *testing.T) {
			whole := []byte(row.head)
			want := newRequest()
			if err := want.Parse(whole, testLimits); err != nil {
				t.Fatal(err)
			}
			if want.End != len(whole) {
				t.Errorf("it ends at %d; want %d", want.End, len(whole))
			}
			// What follows is not of the head.
			if got := newRequest(); got.Parse(append(whole, "\x00\r\n"...), testLimits) != nil || got.End != want.End {
				t.Error("what stands behind the head matters")
			}
			for i := range len(whole) {
				if err := newRequest().Parse(whole[:i], testLimits); err != ErrNeedMore {
					t.Fatalf("%q: got %v; want more bytes needed", whole[:i], err)
				}
			}
			for n := 1; n <= len(whole); n++ {
				if err := progress(whole, n); err != nil {
					t.Fatalf("in pieces of %d: got %v; want it complete", n, err)
				}
				if n < len(whole) && progress(whole[:len(whole)-1], n) != ErrNeedMore {
					t.Fatalf("in pieces of %d: complete before its end", n)
				}
			}
		})
	}
}

func TestParts(t *testing.T) {
	const text = "\r\nGET http://h:81/p?q HTTP/1.1\r\nHost: h:81\r\nProxy-Authorization: x \r\nA:\r\n\r\nrest"
	r, buf := newRequest(), []byte(text)
	if err := r.Parse(buf, testLimits); err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		name, want string
		got        Span
	}{
		{"method", "GET", r.MethodName}, {"target", "http://h:81/p?q", r.Target.All}, {"authority", "h:81", r.Target.Authority},
		{"host", "h", r.Target.Host}, {"path", "/p", r.Target.Path}, {"query", "q", r.Target.Query}, {"Host", "h:81", r.Host},
		{"name", "Proxy-Authorization", r.Fields[1].Name}, {"value", "x", r.Fields[1].Value}, {"empty value", "", r.Fields[2].Value},
		{"line", "Proxy-Authorization: x \r\n", Span{r.Fields[1].Name.Start, r.Fields[1].End}},
		{"head", text[2 : len(text)-4], Span{int32(r.Start), int32(r.End)}},
	} {
		if got := string(part.got.In(buf)); got != part.want {
			t.Errorf("%s is %q; want %q", part.name, got, part.want)
		}
	}
	if r.Method != MethodGet || r.Target.Port != 81 || r.Target.Form != AbsoluteForm || r.Fields[1].Kind != KindProxyAuthorization {
		t.Errorf("got %+v", r)
	}
}

func TestLimits(t *testing.T) {
	lim := Limits{Head: 100, Target: 20}
	pad := func(n int) string { return string(bytes.Repeat([]byte("x"), n)) }
	const line = "GET / HTTP/1.1\r\nHost: a\r\nA: "
	for _, row := range []struct {
		name, head string
		want       error
	}{
		{"head at the limit", line + pad(100-len(line)-4) + "\r\n\r\n", nil},
		{"head over the limit", line + pad(101-len(line)-4) + "\r\n\r\n", errHeadTooLarge},
		{"incomplete head below the limit", line + pad(99-len(line)), ErrNeedMore},
		{"incomplete head at the limit", line + pad(100-len(line)), errHeadTooLarge},
		{"target at the limit", "GET /" + pad(19) + " HTTP/1.1\r\nHost: a\r\n\r\n", nil},
		{"target over the limit", "GET /" + pad(20) + " HTTP/1.1\r\nHost: a\r\n\r\n", errTargetTooLong},
		{"endless request line", "GET /" + pad(90), errTargetTooLong},
	} {
		if err := newRequest().Parse([]byte(row.head), lim); err != row.want {
			t.Errorf("%s: got %v; want %v", row.name, err, row.want)
		}
	}
	many := "GET / HTTP/1.1\r\nHost: a\r\n"
	for range MaxFields - 1 {
		many += "A: b\r\n"
	}
	if err := newRequest().Parse([]byte(many+"\r\n"), testLimits); err != nil {
		t.Errorf("256 field lines: got %v", err)
	}
	if err := newRequest().Parse([]byte(many+"A: b\r\n\r\n"), testLimits); err != errTooManyFields {
		t.Errorf("257 field lines: got %v", err)
	}
	if err := progress([]byte(many+"A: b\r\nA: b\r\n"), 1); err != errTooManyFields {
		t.Errorf("257 field lines byte by byte: got %v", err)
	}
}

// All 256 byte values in each position.
func TestEveryByte(t *testing.T) {
	token := func(c byte) bool { return classes[c]&classToken != 0 }
	text := func(c byte) bool { return c == '\t' || c >= ' ' && c != 0x7f }
	for _, position := range []struct {
		name, before, after string
		accepted            func(c byte) bool
	}{
		{"method", "G", "T / HTTP/1.1\r\nHost: a\r\n\r\n", token},
		{"name", "GET / HTTP/1.1\r\nHost: a\r\nX", "y: z\r\n\r\n", func(c byte) bool { return token(c) || c == ':' }},
		{"value", "GET / HTTP/1.1\r\nHost: a\r\nX: y", "z\r\n\r\n", text},
		{"path", "GET /", " HTTP/1.1\r\nHost: a\r\n\r\n", func(c byte) bool { return c > ' ' && c != 0x7f }},
		{"fragment", "GET /#", " HTTP/1.1\r\nHost: a\r\n\r\n", func(c byte) bool { return c > ' ' && c != 0x7f }},
		{"user information", "GET http://m", "e:pw@a/ HTTP/1.1\r\nHost: a\r\n\r\n", func(c byte) bool {
			return c > ' ' && c != 0x7f && bytes.IndexByte([]byte(`@\[]`), c) < 0 && bytes.IndexByte([]byte("/?#"), c) < 0 ||
				bytes.IndexByte([]byte("/?#"), c) >= 0 // the host ends there
		}},
		{"major version", "GET / HTTP/", ".1\r\nHost: a\r\n\r\n", func(c byte) bool { return c == '1' }},
		{"minor version", "GET / HTTP/1.", "\r\nHost: a\r\n\r\n", func(c byte) bool { return c == '0' || c == '1' }},
		{"name of a host", "GET http://a", "b/ HTTP/1.1\r\nHost: a\r\n\r\n", func(c byte) bool {
			return bytes.IndexByte([]byte("-._~/?#@"), c) >= 0 || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
		}},
	} {
		for c := range 256 {
			in := position.before + string([]byte{byte(c)}) + position.after
			err := newRequest().Parse([]byte(in), testLimits)
			if (err == nil) != position.accepted(byte(c)) {
				t.Errorf("%s with byte %#02x: got %v", position.name, c, err)
			}
		}
	}
}

func TestTokenTable(t *testing.T) {
	const want = "!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~" // RFC 9110 section 5.6.2
	var got []byte
	for c := range 256 {
		if IsToken([]byte{byte(c)}) {
			got = append(got, byte(c))
		}
	}
	if string(got) != want {
		t.Errorf("tchars are %q; want %q", got, want)
	}
}

func TestTargets(t *testing.T) {
	for _, row := range []struct {
		line string // method and target
		host string
		port uint16
		form Form
		err  error
	}{
		// RFC 9112 section 3.2.3, RFC 9110 section 9.3.6: authority-form, for CONNECT.
		{"CONNECT a.example:443", "a.example", 443, AuthorityForm, nil},
		{"CONNECT 127.0.0.1:1", "127.0.0.1", 1, AuthorityForm, nil},
		{"CONNECT [2001:db8::1]:65535", "2001:db8::1", 65535, AuthorityForm, nil},
		{"CONNECT a_b.example:443", "a_b.example", 443, AuthorityForm, nil},
		{"CONNECT a", "", 0, 0, errConnectForm},
		{"CONNECT a:", "", 0, 0, errConnectForm},
		{"CONNECT a:0", "", 0, 0, errPort},
		{"CONNECT a:65536", "", 0, 0, errPort},
		{"CONNECT a:99999", "", 0, 0, errPort},
		{"CONNECT a:http", "", 0, 0, errPort},
		{"CONNECT a:+1", "", 0, 0, errPort},
		{"CONNECT a:080", "", 0, 0, errPort},
		{"CONNECT a:1:2", "", 0, 0, errPort},
		{"CONNECT :443", "", 0, 0, ErrHost},
		{"CONNECT ::1:443", "", 0, 0, ErrHost},
		{"CONNECT [::1]", "", 0, 0, errConnectForm},
		{"CONNECT [::1:443", "", 0, 0, ErrHost},
		{"CONNECT [::1]443", "", 0, 0, ErrHost},
		{"CONNECT [127.0.0.1]:443", "", 0, 0, ErrHost},
		{"CONNECT [fe80::1%25eth0]:443", "", 0, 0, ErrHost},
		{"CONNECT [fe80::1%eth0]:443", "", 0, 0, ErrHost},
		{"CONNECT []:443", "", 0, 0, ErrHost},
		{"CONNECT [v1.a]:443", "", 0, 0, ErrHost},
		{"CONNECT u@a:443", "", 0, 0, ErrUserinfoOfConnect},
		{"CONNECT a%2e:443", "", 0, 0, ErrHost},
		{"CONNECT http://a:443/", "", 0, 0, errPort},
		{"CONNECT /", "", 0, 0, ErrHost},
		{"CONNECT *", "", 0, 0, ErrHost},
		{"CONNECT a:4294967739", "", 0, 0, errPort}, // 2^32 + 443
		{"CONNECT a:443/", "", 0, 0, errPort},
		{"CONNECT a:443?b", "", 0, 0, errPort},
		{"CONNECT a:443#b", "", 0, 0, errPort},
		{"CONNECT a#b:443", "", 0, 0, ErrHost},
		{"CONNECT u:p@a:443", "", 0, 0, ErrUserinfoOfConnect},
		{"CONNECT a\\b:443", "", 0, 0, ErrHost},
		{"CONNECT münchen.example:443", "münchen.example", 443, AuthorityForm, nil},
		{"CONNECT m\xfcnchen.example:443", "", 0, 0, ErrHost},
		{"CONNECT //a:443", "", 0, 0, ErrHost},
		// RFC 9112 section 3.2.2, RFC 9110 section 4.2: absolute-form, of http or ws.
		{"GET http://a/", "a", 80, AbsoluteForm, nil},
		{"GET HTTP://A/", "A", 80, AbsoluteForm, nil},
		{"GET http://a", "a", 80, AbsoluteForm, nil},
		{"GET http://a?q", "a", 80, AbsoluteForm, nil},
		{"GET http://a:/", "a", 80, AbsoluteForm, nil},
		{"GET http://a:8080/x", "a", 8080, AbsoluteForm, nil},
		{"GET http://[::1]:8080/x", "::1", 8080, AbsoluteForm, nil},
		{"OPTIONS http://a", "a", 80, AbsoluteForm, nil},
		{"GET http://a/http://b/", "a", 80, AbsoluteForm, nil},
		{"GET ws://a/", "a", 80, AbsoluteForm, nil},
		{"GET WS://a:8080?q", "a", 8080, AbsoluteForm, nil},
		// RFC 9110 section 4.2.4 and 4.2.5: user information and fragments.
		{"GET http://u:p@a/", "a", 80, AbsoluteForm, nil},
		{"GET http://a@b:80/", "b", 80, AbsoluteForm, nil},
		{"GET http://@a/", "a", 80, AbsoluteForm, nil},
		{"GET http://a:80@b/", "b", 80, AbsoluteForm, nil},
		{"GET http://a/@b/", "a", 80, AbsoluteForm, nil},
		{"GET http://a?@b/", "a", 80, AbsoluteForm, nil},
		{"GET http://a#@b/", "a", 80, AbsoluteForm, nil},
		{"GET http://u@[::1]:81/", "::1", 81, AbsoluteForm, nil},
		{"GET http://a:81#b", "a", 81, AbsoluteForm, nil},
		{"GET /a#b", "", 0, OriginForm, nil},
		{"GET http://u@a@b/", "", 0, 0, ErrUserinfo},
		{"GET http://@@a/", "", 0, 0, ErrUserinfo},
		{"GET http://a\\@b/", "", 0, 0, ErrUserinfo},
		{"GET http://u@a\\b/", "", 0, 0, ErrHost},
		{"GET http://[::1]@b/", "", 0, 0, ErrUserinfo},
		{"GET http://a]@b/", "", 0, 0, ErrUserinfo},
		{"GET http://u@/", "", 0, 0, ErrHost},
		{"GET http://u@:80/", "", 0, 0, ErrHost},
		{"GET #a", "", 0, 0, ErrTargetForm},
		{"OPTIONS *#a", "", 0, 0, ErrTargetForm},
		{"GET http:///", "", 0, 0, ErrHost},
		{"GET http://", "", 0, 0, ErrHost},
		{"GET http://:80/", "", 0, 0, ErrHost},
		{"GET http://a:0/", "", 0, 0, errPort},
		{"GET http://a\\b/", "", 0, 0, ErrHost},
		{"GET http://a,b/", "", 0, 0, ErrHost},
		{"GET https://a/", "", 0, 0, ErrSecureScheme},
		{"GET HTTPS://a:443/", "", 0, 0, ErrSecureScheme},
		{"GET wss://a/", "", 0, 0, ErrSecureScheme},
		{"GET ftp://a/", "", 0, 0, ErrScheme},
		{"GET http+unix://a/", "", 0, 0, ErrScheme},
		{"GET w://a/", "", 0, 0, ErrScheme},
		{"GET http://a:65536/", "", 0, 0, errPort},
		{"GET http://a%2f/", "", 0, 0, ErrHost},
		{"GET http://\xc3\xa4/", "\xc3\xa4", 80, AbsoluteForm, nil},
		{"GET http://\xc3/", "", 0, 0, ErrHost},
		{"GET http://\xa4\xc3/", "", 0, 0, ErrHost},
		{"GET http://[\xc3\xa4]/", "", 0, 0, ErrHost},
		{"GET http://\xc3\xa4%2e/", "", 0, 0, ErrHost},
		{"GET http://::1/", "", 0, 0, ErrHost},
		{"GET http://[fe80::1%25eth0]/", "", 0, 0, ErrHost}, // RFC 6874
		{"GET http:\\\\a/", "", 0, 0, ErrTargetForm},
		{"GET a", "", 0, 0, ErrTargetForm},
		{"GET a:80", "", 0, 0, ErrTargetForm},
		{"GET http:/a", "", 0, 0, ErrTargetForm},
		{"GET ://a", "", 0, 0, ErrTargetForm},
		{"GET *", "", 0, 0, ErrTargetForm},
		// RFC 9112 section 3.2.1 and 3.2.4: origin-form; asterisk-form, for OPTIONS.
		{"GET !", "", 0, 0, ErrTargetForm},
		{"GET ?a", "", 0, 0, ErrTargetForm},
		{"GET /", "", 0, OriginForm, nil},
		{"GET //a/b", "", 0, OriginForm, nil},
		{"OPTIONS *", "", 0, AsteriskForm, nil},
		{"OPTIONS *a", "", 0, 0, ErrTargetForm},
	} {
		r, buf := newRequest(), []byte(row.line+" HTTP/1.0\r\n\r\n")
		err := r.Parse(buf, testLimits)
		if row.err == nil && err == nil {
			if got := string(r.Target.Host.In(buf)); got != row.host || r.Target.Port != row.port || r.Target.Form != row.form {
				t.Errorf("%s: got host %q, port %d, form %d; want %q, %d, %d", row.line, got, r.Target.Port, r.Target.Form, row.host, row.port, row.form)
			}
			continue
		}
		if row.err == nil && err != nil || row.err != nil && err != row.err {
			t.Errorf("%s: got %v; want %v", row.line, err, row.err)
		}
	}
}
