package httpparse

import (
	"bufio"
	"io"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func netHTTP(head string) (*http.Request, error) {
	return http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
}

// Where net/http and this package differ, row by row, and why that is right: every other difference is a fault that
// FuzzSameAsNetHTTP finds. theirs is a part of net/http's error, empty if it accepts.
func TestNetHTTPDiffers(t *testing.T) {
	const host = " HTTP/1.1\r\nHost: a\r\n"
	for _, row := range []struct {
		name, head string
		ours       error
		theirs     string
		why        string
	}{
		{"percent sign that escapes nothing", "GET /%zz" + host + "\r\n", nil, "invalid URL escape", "we do not decode the path, who does decides"},
		{"likewise in an absolute-form", "GET http://a/%" + host + "\r\n", nil, "invalid URL escape", "likewise"},
		{"bare LF", "GET / HTTP/1.1\nHost: a\n\n", errBareLF, "", "RFC 9112 section 2.2: may be accepted, so readers differ"},
		{"empty line first", "\r\nGET /" + host + "\r\n", nil, "malformed HTTP request", "RFC 9112 section 2.2: should be ignored"},
		{"folded line", "GET /" + host + "A: b\r\n c\r\n\r\n", errFold, "", "RFC 9112 section 5.2: must be refused or replaced"},
		{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", errVersion, "", "it knows no 1.2 either, but reads it"},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\n", errVersion, "", "a server with HTTP/2 goes on from there"},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", errHostMissing, "", "RFC 9112 section 3.2; its server checks later"},
		{"list of Hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", errHostValue, "", "likewise"},
		{"equal lengths", "POST /" + host + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", errLengthRepeated, "", "RFC 9112 section 6.3 point 5: may be accepted"},
		{"length of 19 digits", "POST /" + host + "Content-Length: 9223372036854775807\r\n\r\n", errLengthValue, "", "nobody sends it; 18 digits cannot overflow"},
		{"length and chunked", "POST /" + host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", errLengthChunked, "", "RFC 9112 section 6.3 point 3: ought to be an error"},
		{"chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", errEncoding10, "", "RFC 9112 section 6.1: faulty framing"},
		{"user information", "GET http://u@a/" + host + "\r\n", errUserinfo, "", "RFC 9110 section 4.2.4: likely an error"},
		{"scheme of TLS", "GET https://a/" + host + "\r\n", errScheme, "", "TLS goes through CONNECT"},
		{"IPv6 zone", "GET http://[fe80::1%25a]/" + host + "\r\n", errHost, "", "RFC 6874: it means an interface of another machine"},
		{"escape in a host", "GET http://a%41/" + host + "\r\n", errHost, "invalid URL escape", "both refuse"},
		{"delimiters in a host", "GET http://a;b/" + host + "\r\n", errHost, "", "no such name resolves"},
		{"port 0", "CONNECT a:0" + host + "\r\n", errPort, "", "RFC 9110 section 9.3.6: must be refused"},
		{"port with a leading zero", "GET http://a:080/" + host + "\r\n", errPort, "", "read as octal by some"},
		{"CONNECT to a path", "CONNECT /a" + host + "\r\n", errHost, "", "its RPC package's way"},
		{"fragment", "GET /a#b" + host + "\r\n", errTarget, "", "RFC 9110 section 4.2.5: no part of a target"},
		{"asterisk without OPTIONS", "GET *" + host + "\r\n", errTargetForm, "", "RFC 9112 section 3.2.4"},
	} {
		_, err := netHTTP(row.head)
		if got := parseWhole([]byte(row.head), testLimits); got != row.ours {
			t.Errorf("%s: got %v; want %v", row.name, got, row.ours)
		}
		if (err != nil) != (row.theirs != "") || err != nil && !strings.Contains(err.Error(), row.theirs) {
			t.Errorf("%s: net/http has %v; want %q (%s)", row.name, err, row.theirs, row.why)
		}
	}
}

// FuzzSameAsNetHTTP: what this package accepts, net/http reads as the same message, and the two rows of TestNetHTTPDiffers
// where net/http is stricter are the only exceptions. It goes on where the head ends, to the content's end.
func FuzzSameAsNetHTTP(f *testing.F) {
	for _, b := range allHeads() {
		f.Add(string(b), "3\r\nabc\r\n0\r\n\r\nGET /b HTTP/1.1\r\n")
	}
	f.Fuzz(func(t *testing.T, head, content string) {
		r := newRequest()
		if r.Parse([]byte(head), testLimits) != nil {
			return
		}
		head = head[:r.End]
		theirs, err := netHTTP(head[r.Start:] + content)
		if err != nil {
			if !strings.Contains(err.Error(), "invalid URL escape") {
				t.Fatalf("net/http refuses %q: %v", head, err)
			}
			return
		}
		sameHead(t, r, head, theirs)
		sameContent(t, r.Body(), content, theirs)
	})
}

func sameHead(t *testing.T, r *Request, head string, theirs *http.Request) {
	t.Helper()
	text := func(s Span) string { return string(s.In([]byte(head))) }
	if text(r.MethodName) != theirs.Method || text(r.Target.All) != theirs.RequestURI || theirs.ProtoMajor != 1 || theirs.ProtoMinor != int(r.Minor) {
		t.Fatalf("%q: net/http has %q %q %s", head, theirs.Method, theirs.RequestURI, theirs.Proto)
	}
	if r.Target.Form == AbsoluteForm || r.Target.Form == AuthorityForm {
		if got := text(r.Target.Authority); got != theirs.Host {
			t.Fatalf("%q: got authority %q; net/http has %q", head, got, theirs.Host)
		}
	}
	fields := http.Header{}
	for _, f := range r.Fields {
		name := textproto.CanonicalMIMEHeaderKey(text(f.Name))
		fields[name] = append(fields[name], text(f.Value))
	}
	// These it takes out of the header; the last it puts in where Pragma asks for it.
	for _, name := range []string{"Host", "Content-Length", "Transfer-Encoding", "Trailer", "Cache-Control"} {
		delete(fields, name)
		delete(theirs.Header, name)
	}
	if diff := cmp.Diff(fields, theirs.Header); diff != "" {
		t.Fatalf("%q: fields (-ours +net/http):\n%s", head, diff)
	}
}

// sameContent checks that both find the same content, if it is all there.
func sameContent(t *testing.T, body Body, content string, theirs *http.Request) {
	t.Helper()
	if want := bodyOf(theirs.ContentLength, theirs.TransferEncoding); body != want {
		t.Fatalf("got %+v; net/http has %+v", body, want)
	}
	want := ""
	switch body.Kind {
	case BodyLength:
		if body.Length > int64(len(content)) {
			return
		}
		want = content[:body.Length]
	case BodyChunked:
		data, _, done, err := chunked(content, len(content)+1)
		if !done || err != nil {
			return // where net/http is laxer, TestNetHTTPChunksDiffer
		}
		want = data
	}
	got, err := io.ReadAll(theirs.Body)
	if chunksExcused(err, body) {
		return
	}
	if err != nil || string(got) != want {
		t.Fatalf("%+v %q: got %q; net/http has %q, %v", body, content, want, got, err)
	}
}

// chunksExcused reports whether net/http refuses a chunked body for a reason that TestNetHTTPChunksDiffer has a row for.
func chunksExcused(err error, body Body) bool {
	if err == nil || body.Kind != BodyChunked {
		return false
	}
	for _, text := range []string{"chunk length too large", "too much non-data", "suspiciously long trailer"} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

// Where net/http's decoder and Chunks differ.
func TestNetHTTPChunksDiffer(t *testing.T) {
	for _, row := range []struct {
		name, body string
		ours       error
		theirs     string
		why        string
	}{
		{"17 digits, zeros first", "00000000000000003\r\nabc\r\n0\r\n\r\n", nil, "too large", "it counts digits; zeros change nothing and the line is bounded"},
		{"10,000 padded chunks", strings.Repeat("0000000000000001;x\r\nx\r\n", 10000) + "0\r\n\r\n", nil, "too much non-data", "it counts the size too, we extensions only"},
		{"trailer of 5 KiB", "0\r\nA: " + strings.Repeat("x", 5<<10) + "\r\n\r\n", nil, "suspiciously long trailer", "its bound is its buffer of 4 KiB"},
		{"white space behind the size", "3 \r\nabc\r\n0\r\n\r\n", errChunkSize, "", "RFC 9112 section 7.1.1 allows BWS before an extension only"},
		{"quote left open", "3;a=\"\r\nabc\r\n0\r\n\r\n", errChunkExtension, "", "it does not follow quotes: a line cannot end in one"},
		{"control character in an extension", "3;\x01\r\nabc\r\n0\r\n\r\n", errChunkExtension, "", "it does not look at extensions"},
		{"forbidden trailer", "0\r\nContent-Length: 5\r\n\r\n", errTrailerField, "", "RFC 9110 section 6.5.1; it drops what was not announced"},
	} {
		body := row.body
		if _, _, _, err := chunked(body, len(body)); err != row.ours {
			t.Errorf("%s: got %v; want %v", row.name, err, row.ours)
		}
		theirs, err := netHTTP("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(theirs.Body)
		if (err != nil) != (row.theirs != "") || err != nil && !strings.Contains(err.Error(), row.theirs) {
			t.Errorf("%s: net/http has %v; want %q (%s)", row.name, err, row.theirs, row.why)
		}
	}
}

// BenchmarkResponseNetHTTP is BenchmarkResponse's twin.
func BenchmarkResponseNetHTTP(b *testing.B) {
	head := "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jun 2026 00:00:00 GMT\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 1234\r\nServer: x\r\n\r\n"
	in := strings.NewReader(head)
	r := bufio.NewReader(in)
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(head)
		r.Reset(in)
		if _, err := http.ReadResponse(r, nil); err != nil {
			b.Fatal(err)
		}
	}
}
