package httpparse

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// netHTTP reads a request head with net/http. What follows it is left in rest.
func netHTTP(message string) (r *http.Request, rest *bufio.Reader, err error) {
	rest = bufio.NewReader(strings.NewReader(message))
	r, err = http.ReadRequest(rest)
	return r, rest, err
}

// A difference is a message that net/http and this package read differently, and why that is right. theirs is a part of
// net/http's error, empty if it accepts.
type difference struct {
	name, message string
	ours          error
	theirs        string
	why           string
}

const host11 = " HTTP/1.1\r\nHost: a\r\n"

// All differences in requests: every other one is a fault, which FuzzSameAsNetHTTP finds.
var requestsDiffer = []difference{
	{"percent sign that escapes nothing", "GET /%zz" + host11 + "\r\n", nil, "invalid URL escape", "we do not decode the path, who does decides"},
	{"likewise in an absolute-form", "GET http://a/%" + host11 + "\r\n", nil, "invalid URL escape", "likewise"},
	{"bare LF", "GET / HTTP/1.1\nHost: a\n\n", errBareLF, "", "RFC 9112 section 2.2: may be accepted, so readers differ"},
	{"empty line first", "\r\nGET /" + host11 + "\r\n", nil, "malformed HTTP request", "RFC 9112 section 2.2: should be ignored"},
	{"folded line", "GET /" + host11 + "A: b\r\n c\r\n\r\n", errFold, "", "RFC 9112 section 5.2: must be refused or replaced"},
	{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", errVersion, "", "it knows no 1.2 either, but reads it"},
	{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\n", errVersion, "", "a server with HTTP/2 goes on from there"},
	{"no Host", "GET / HTTP/1.1\r\n\r\n", errHostMissing, "", "RFC 9112 section 3.2; its server checks later"},
	{"list of Hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", ErrHostValue, "", "likewise"},
	{"user information in Host", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", ErrUserinfoOfHost, "", "likewise"},
	{"equal lengths", "POST /" + host11 + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", errLengthRepeated, "", "RFC 9112 section 6.3 point 5: may be accepted"},
	{"length of 19 digits", "POST /" + host11 + "Content-Length: 9223372036854775807\r\n\r\n", errLengthValue, "", "nobody sends it; 18 digits cannot overflow"},
	{"length and chunked", "POST /" + host11 + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", errLengthChunked, "", "RFC 9112 section 6.3 point 3: ought to be an error"},
	{"chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", errEncoding10, "", "RFC 9112 section 6.1: faulty framing"},
	{"another encoding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: x\r\n\r\n", errEncoding, "", "likewise; it does not look at it"},
	{"two @ in a target", "GET http://u@v@a/" + host11 + "\r\n", ErrUserinfo, "", "the last one counts for it, the first for others"},
	{"user information with characters that are to be escaped", "GET http://u^v@a/" + host11 + "\r\n", nil, "invalid userinfo", "we cut it off"},
	{"scheme of TLS", "GET https://a/" + host11 + "\r\n", ErrSecureScheme, "", "TLS goes through CONNECT"},
	{"another scheme", "GET ftp://a/" + host11 + "\r\n", ErrScheme, "", "there is no FTP here"},
	{"IPv6 zone", "GET http://[fe80::1%25a]/" + host11 + "\r\n", ErrHost, "", "RFC 6874: it means an interface of another machine"},
	{"escape in a host", "GET http://a%41/" + host11 + "\r\n", ErrHost, "invalid URL escape", "both refuse"},
	{"delimiters in a host", "GET http://a;b/" + host11 + "\r\n", ErrHost, "", "no such name resolves"},
	{"port 0", "CONNECT a:0" + host11 + "\r\n", errPort, "", "RFC 9110 section 9.3.6: must be refused"},
	{"port with a leading zero", "GET http://a:080/" + host11 + "\r\n", errPort, "", "read as octal by some"},
	{"label of 64 bytes", "CONNECT " + strings.Repeat("a", 64) + ":1" + host11 + "\r\n", ErrHostLength, "", "it leaves names to who looks them up"},
	{"CONNECT to a path", "CONNECT /a" + host11 + "\r\n", ErrHost, "", "its RPC package's way"},
	{"fragment behind a host", "GET http://a#b" + host11 + "\r\n", nil, "in host name", "RFC 3986 section 3.2: the authority ends there"},
	{"fragment", "GET /a#b" + host11 + "\r\n", nil, "", "it takes it for a part of the path; we cut it off: RFC 9110 section 4.2.5"},
	{"method of 65 bytes", strings.Repeat("A", 65) + " /" + host11 + "\r\n", ErrRequestLine, "", "it sets no bound"},
	{"target over the limit", "GET /" + strings.Repeat("a", 16<<10) + host11 + "\r\n", errTargetTooLong, "", "likewise"},
	{"head over the limit", "GET /" + host11 + "A: " + strings.Repeat("a", 32<<10) + "\r\n\r\n", errHeadTooLarge, "", "likewise"},
	{"257 field lines", "GET /" + host11 + strings.Repeat("A: b\r\n", 256) + "\r\n", errTooManyFields, "", "likewise"},
	{"space before a colon", "GET /" + host11 + "A : b\r\n\r\n", errSpaceColon, "", "RFC 9112 section 5.1: must be refused"},
	{"CONNECT without a port", "CONNECT a" + host11 + "\r\n", errConnectForm, "", "RFC 9112 section 3.2.3; who dials fails later"},
	{"CONNECT without a target", "CONNECT " + host11 + "\r\n", errTarget, "", "likewise"},
	{"user information in a CONNECT", "CONNECT a@b:1" + host11 + "\r\n", ErrUserinfoOfConnect, "", "RFC 9112 section 3.2.3; who dials fails later"},
	{"CONNECT with a length", "CONNECT a:1" + host11 + "Content-Length: 1\r\n\r\n", errConnectBody, "", "RFC 9110 section 9.3.6: no defined meaning"},
	{"Connection names Host", "GET /" + host11 + "Connection: host\r\n\r\n", errOptionFraming, "", "RFC 9110 section 7.6.1; no proxy, so it drops none of them"},
	{"Trailer announces a length", "POST /" + host11 + "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n", nil, "bad trailer key", "we refuse the trailer, if it comes"},
	{"asterisk without OPTIONS", "GET *" + host11 + "\r\n", ErrTargetForm, "", "RFC 9112 section 3.2.4"},
}

// All differences in chunked bodies.
var chunksDiffer = []difference{
	{"17 digits, zeros first", "00000000000000003\r\nabc\r\n0\r\n\r\n", nil, "too large", "it counts digits; zeros change nothing and the line is bounded"},
	{"10,000 padded chunks", strings.Repeat("0000000000000001;x\r\nx\r\n", 10000) + "0\r\n\r\n", nil, "too much non-data", "it counts the size too, we extensions only"},
	{"trailer of 5 KiB", "0\r\nA: " + strings.Repeat("x", 5<<10) + "\r\n\r\n", nil, "suspiciously long trailer", "its bound is its buffer of 4 KiB"},
	{"white space behind the size", "3 \r\nabc\r\n0\r\n\r\n", errChunkSize, "", "RFC 9112 section 7.1.1 allows BWS before an extension only"},
	{"quote left open", "3;a=\"\r\nabc\r\n0\r\n\r\n", errChunkExtension, "", "it does not follow quotes: a line cannot end in one"},
	{"control character in an extension", "3;\x01\r\nabc\r\n0\r\n\r\n", errChunkExtension, "", "it does not look at extensions"},
	{"extension of 2 KiB", "3;" + strings.Repeat("x", 2<<10) + "\r\nabc\r\n0\r\n\r\n", errChunkLine, "", "our bound is 1 KiB, its 4"},
	{"space before a trailer's colon", "0\r\nA : b\r\n\r\n", errTrailer, "", "RFC 9112 section 5.1: must be refused"},
	{"forbidden trailer", "0\r\nContent-Length: 5\r\n\r\n", errTrailerField, "", "RFC 9110 section 6.5.1; it drops what was not announced"},
}

// All differences in chunked bodies of responses.
var responseChunksDiffer = []difference{
	chunksDiffer[0], chunksDiffer[1], chunksDiffer[2],
	{"extension of 2 KiB", "3;" + strings.Repeat("x", 2<<10) + "\r\nabc\r\n0\r\n\r\n", errChunkLine, "", "our bound is 1 KiB, its 4"},
	{"LF alone behind a size", "3\nabc\r\n0\r\n\r\n", nil, "chunked line ends with bare LF", "RFC 9112 section 2.2: may be accepted; curl and older ones do"},
	{"LF alone behind the data", "3\r\nabc\n0\r\n\r\n", nil, "malformed chunked encoding", "likewise"},
	{"LF alone as the end", "0\r\n\n", nil, "unexpected EOF reading trailer", "likewise"},
	{"white space before an extension", "3 ;a\r\nabc\r\n0\r\n\r\n", nil, "invalid byte in chunk length", "RFC 9112 section 7.1.1: it is allowed there"},
	{"quote left open", "3;a=\"\r\nabc\r\n0\r\n\r\n", errChunkExtension, "", "it does not follow quotes: a line cannot end in one"},
	{"NUL in an extension", "3;\x00\r\nabc\r\n0\r\n\r\n", errChunkExtension, "", "it does not look at extensions"},
	{"trailer without a colon", "0\r\nA\r\n\r\n", nil, "malformed MIME header", "the client is to see what came"},
	{"folded first trailer", "0\r\n A: b\r\n\r\n", nil, "malformed MIME header", "likewise"},
}

// differs checks a row against what the two made of it.
func differs(t *testing.T, row difference, ours, theirs error) {
	t.Helper()
	if ours != row.ours {
		t.Errorf("%s: got %v; want %v", row.name, ours, row.ours)
	}
	if (theirs != nil) != (row.theirs != "") || theirs != nil && !strings.Contains(theirs.Error(), row.theirs) {
		t.Errorf("%s: net/http has %v; want %q (%s)", row.name, theirs, row.theirs, row.why)
	}
}

func TestNetHTTPDiffers(t *testing.T) {
	for _, row := range requestsDiffer {
		_, _, err := netHTTP(row.message)
		differs(t, row, parseWhole([]byte(row.message), testLimits), err)
	}
}

func TestNetHTTPChunksDiffer(t *testing.T) {
	const chunks = "Transfer-Encoding: chunked\r\n\r\n"
	for _, row := range chunksDiffer {
		_, _, _, ours := chunked(row.message, len(row.message))
		r, _, err := netHTTP("POST / HTTP/1.1\r\nHost: a\r\n" + chunks + row.message)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(r.Body)
		differs(t, row, ours, err)
	}
	for _, row := range responseChunksDiffer {
		c := ChunksOfResponse()
		_, _, _, ours := chunkedBy(&c, row.message, len(row.message))
		r, _, err := netHTTPResponse("HTTP/1.1 200 OK\r\n"+chunks+row.message, "GET")
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(r.Body)
		differs(t, row, ours, err)
	}
}

// excused reports whether a row has that difference. One of both errors is nil.
func excused(rows []difference, ours, theirs error) bool {
	return slices.ContainsFunc(rows, func(row difference) bool {
		if theirs == nil {
			return row.ours == ours && row.theirs == ""
		}
		return row.ours == nil && row.theirs != "" && strings.Contains(theirs.Error(), row.theirs)
	})
}

// agreed checks that both accept, or that both do not, or that a row excuses it. It reports whether both accept.
func agreed(t *testing.T, rows []difference, message string, ours, theirs error) bool {
	t.Helper()
	if (ours == nil) != (theirs == nil) && !excused(rows, ours, theirs) {
		t.Fatalf("%q: got %v; net/http has %v", message, ours, theirs)
	}
	return ours == nil && theirs == nil
}

// FuzzSameAsNetHTTP: this package and net/http accept the same requests, and read them as the same: method, target,
// fields and content up to its end, where the next request begins. What is put right first is read as it goes on. The only
// exceptions are the rows of the tables.
func FuzzSameAsNetHTTP(f *testing.F) {
	for _, b := range allHeads() {
		f.Add(string(b), "3\r\nabc\r\n0\r\n\r\nGET /b HTTP/1.1\r\n")
	}
	for _, row := range requestsDiffer {
		f.Add(row.message, "abc")
	}
	f.Fuzz(func(t *testing.T, head, content string) {
		r := newRequest()
		ours := r.Parse([]byte(head), testLimits)
		if ours == nil {
			head = head[r.Start:r.End] // the empty lines before it net/http does not know: a row says so
			if !r.IsPlain() {
				_ = r.Parse([]byte(head), testLimits)
				head = plain(t, r, head)
			}
			if err := r.Parse([]byte(head), testLimits); err != nil {
				t.Fatal(err)
			}
		}
		_, _, theirs := netHTTP(head)
		if agreed(t, requestsDiffer, head, ours, theirs) {
			req, rest, err := netHTTP(head + content)
			if err != nil {
				t.Fatalf("%q: net/http has %v with %q behind it", head, err, content)
			}
			sameHead(t, r, head, req)
			sameContent(t, r.Body(), Chunks{}, content, req.Body, rest)
			if want := bodyOf(req.ContentLength, req.TransferEncoding); r.Body() != want {
				t.Fatalf("%q: got %+v; net/http has %+v", head, r.Body(), want)
			}
		}
	})
}

// All differences in responses, and in what odd ones go out as: what another reader gets of them.
var responsesDiffer = []difference{
	{"two spaces", "HTTP/1.1  200 OK\r\n\r\n", errStatusLine, "", "RFC 9112 section 4: exactly one"},
	{"status below 100", "HTTP/1.1 099 OK\r\n\r\n", errStatusLine, "", "RFC 9110 section 15: from 100 to 599"},
	{"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", errVersion, "", "it looks at it later"},
	{"CR in the reason", "HTTP/1.1 200 O\rK\r\n\r\n", errBareCR, "", "RFC 9112 section 2.2: invalid"},
	{"NUL in the reason", "HTTP/1.1 200 O\x00K\r\n\r\n", errControl, "", "RFC 9110 section 5.5: dangerous"},
	{"control character in a value", "HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n", nil, "malformed MIME header", "RFC 9110 section 5.5: may pass"},
	{"space in a name", "HTTP/1.1 200 OK\r\nA b: c\r\n\r\n", nil, "", "passed on as it came"},
	{"delimiter in a name", "HTTP/1.1 200 OK\r\nA(b): c\r\n\r\n", nil, "malformed MIME header", "likewise"},
	{"length of 19 digits", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n", errLengthValue, "", "nobody sends it; 18 digits cannot overflow"},
	{"gzip and chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", nil, "unsupported transfer encoding", "RFC 9112 section 6.3 point 4: chunked"},
	{"an encoding that nobody knows", "HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\n", nil, "unsupported transfer encoding", "RFC 9112 section 6.3 point 4: until the close"},
	{"two encodings", "HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n", nil, "too many transfer encodings", "likewise"},
	{"length of a 304 that is none", "HTTP/1.1 304 Not Modified\r\nContent-Length: x\r\n\r\n", nil, "bad Content-Length", "it frames nothing"},
	{"length of a 304 that is empty", "HTTP/1.1 304 Not Modified\r\nContent-Length:\r\n\r\n", nil, "invalid empty Content-Length", "likewise"},
	{"lengths of a 304 that differ", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", nil, "cannot contain multiple Content-Length", "likewise"},
	{"head over the limit", "HTTP/1.1 200 " + strings.Repeat("x", 32<<10) + "\r\n\r\n", errHeadTooLarge, "", "it sets no bound"},
	{"257 field lines", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 257) + "\r\n", errTooManyFields, "", "likewise"},
	{"Trailer announces a length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n", nil, "bad trailer key", "the trailer is for who merges it to look at"},
}

// readResponse reads a response to a request with that method, and returns the head that it goes out as, which is read too:
// the head as it came, if it is refused.
func readResponse(message string, to Method) (r *Response, head string, body Body, err error) {
	r = newResponse()
	if err = r.Parse([]byte(message), testLimits); err != nil {
		return r, message, body, err
	}
	if body, err = r.Body(to); err != nil {
		return r, message, body, err
	}
	out, _ := r.Append(nil, []byte(message[:r.End]), Rewrite{})
	return r, string(out), body, r.Parse(out, Limits{Head: 2 * testLimits.Head})
}

// netHTTPResponse reads the head of a response to a request with that method.
func netHTTPResponse(message, method string) (r *http.Response, rest *bufio.Reader, err error) {
	rest = bufio.NewReader(strings.NewReader(message))
	r, err = http.ReadResponse(rest, &http.Request{Method: method})
	return r, rest, err
}

func TestNetHTTPResponsesDiffer(t *testing.T) {
	for _, row := range responsesDiffer {
		_, head, _, ours := readResponse(row.message, MethodGet)
		_, _, theirs := netHTTPResponse(head, "GET")
		differs(t, row, ours, theirs)
	}
}

// FuzzResponseSameAsNetHTTP is the same for responses, to a GET and to a HEAD, in the form in which they go out.
func FuzzResponseSameAsNetHTTP(f *testing.F) {
	for _, head := range goodResponses {
		f.Add(head, "3\r\nabc\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n", false)
	}
	for _, row := range badResponses {
		f.Add(row.head, "abc", true)
	}
	for _, row := range responsesDiffer {
		f.Add(row.message, "abc", false)
	}
	for _, row := range chunkReadings {
		f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", row.body, false)
	}
	for _, row := range readings {
		f.Add(row.head(), "3\r\nabc\r\n0\r\n\r\n", false)
	}
	f.Fuzz(func(t *testing.T, message, content string, toHead bool) {
		method, name := MethodGet, "GET"
		if toHead {
			method, name = MethodHead, "HEAD"
		}
		r, head, body, ours := readResponse(message, method)
		_, _, theirs := netHTTPResponse(head, name)
		if !agreed(t, responsesDiffer, head, ours, theirs) {
			return
		}
		res, rest, err := netHTTPResponse(head+content, name)
		if err != nil || res.StatusCode != r.Status || res.ProtoMajor != 1 || res.ProtoMinor != int(r.Minor) {
			t.Fatalf("%q: got %d; net/http has %+v, %v", head, r.Status, res, err)
		}
		fields := fieldsOf(head, r.head)
		if r.Minor == 1 && r.Options&OptionClose != 0 {
			delete(fields, "Connection") // res.Close has it
		}
		if diff := cmp.Diff(fields, res.Header); diff != "" {
			t.Fatalf("%q: fields (-ours +net/http):\n%s", head, diff)
		}
		sameContent(t, body, ChunksOfResponse(), content, res.Body, rest)
	})
}

func sameHead(t *testing.T, r *Request, head string, theirs *http.Request) {
	t.Helper()
	text := func(s Span) string { return string(s.In([]byte(head))) }
	if text(r.MethodName) != theirs.Method || text(r.Target.All) != theirs.RequestURI || theirs.ProtoMajor != 1 || theirs.ProtoMinor != int(r.Minor) {
		t.Fatalf("%q: net/http has %q %q %s", head, theirs.Method, theirs.RequestURI, theirs.Proto)
	}
	host := text(r.Host)
	if r.Target.Form == AbsoluteForm || r.Target.Form == AuthorityForm {
		host = text(r.Target.Authority)
	}
	if host != theirs.Host {
		t.Fatalf("%q: got host %q; net/http has %q", head, host, theirs.Host)
	}
	fields := fieldsOf(head, r.head)
	delete(fields, "Host") // it stands in theirs.Host
	if diff := cmp.Diff(fields, theirs.Header); diff != "" {
		t.Fatalf("%q: fields (-ours +net/http):\n%s", head, diff)
	}
}

// fieldsOf are a head's fields as net/http has them: without those that it takes out, and with the one that it puts in.
func fieldsOf(text string, h head) http.Header {
	fields := http.Header{}
	for _, f := range h.Fields {
		fields.Add(text[f.Name.Start:f.Name.End], text[f.Value.Start:f.Value.End])
	}
	delete(fields, "Transfer-Encoding") // Body has it
	if h.chunked {
		delete(fields, "Trailer") // theirs.Trailer has it
	}
	if fields.Get("Pragma") == "no-cache" && fields["Cache-Control"] == nil {
		fields.Set("Cache-Control", "no-cache")
	}
	return fields
}

// sameContent checks that both find the same content, and behind it the same rest.
func sameContent(t *testing.T, body Body, chunks Chunks, content string, theirs io.Reader, rest *bufio.Reader) {
	t.Helper()
	data, end, fault, rows := "", 0, error(nil), chunksDiffer
	if chunks.takes != 0 {
		rows = responseChunksDiffer
	}
	switch body.Kind {
	case BodyLength:
		end = int(min(body.Length, int64(len(content))))
		if data = content[:end]; body.Length > int64(end) {
			fault = ErrNeedMore
		}
	case BodyChunked:
		var done bool
		if data, end, done, fault = chunkedBy(&chunks, content, len(content)+1); !done && fault == nil {
			fault = ErrNeedMore
		}
	case BodyUntilClose:
		data, end = content, len(content)
	}
	got, err := io.ReadAll(theirs)
	if !agreed(t, rows, content, fault, err) {
		return
	}
	behind, err := io.ReadAll(rest)
	if err != nil || string(got) != data || string(behind) != content[end:] {
		t.Fatalf("%+v %q: got %q and the rest from %d; net/http has %q and %q, %v", body, content, data, end, got, behind, err)
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
