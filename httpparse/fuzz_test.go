package httpparse

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzRequest(f *testing.F) {
	for _, row := range goodHeads {
		f.Add([]byte(row.head), 7)
	}
	for _, row := range badHeads {
		f.Add([]byte(row.head), 3)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		r := newRequest()
		err := r.Parse(b, testLimits)
		if err != nil {
			// Pieces never make a bad head good.
			if n := 1 + max(cut, -cut)%16; n > 0 && err != ErrNeedMore && len(b) > 0 && progress(b, n) == nil && newRequest().Parse(b, testLimits) == nil {
				t.Fatalf("refused with %v, but not in pieces", err)
			}
			return
		}
		inOrder(t, b, r)
		again := newRequest()
		if err := again.Parse(b[:r.End:r.End], testLimits); err != nil {
			t.Fatalf("the head alone: %v", err)
		}
		if diff := cmp.Diff(r, again, cmp.AllowUnexported(Request{}, head{})); diff != "" {
			t.Fatalf("the head alone is another:\n%s", diff)
		}
		if n := max(cut, -cut); n < r.End && newRequest().Parse(b[:n:n], testLimits) != ErrNeedMore {
			t.Fatalf("the first %d bytes are more than a beginning", n)
		}
		if err := progress(b[:r.End], 1+max(cut, -cut)%64); err != nil {
			t.Fatalf("in pieces: %v", err)
		}
	})
}

// inOrder checks that every span lies in the head, behind the one before it.
func inOrder(t *testing.T, b []byte, r *Request) {
	t.Helper()
	at := int32(r.Start)
	step := func(s Span) {
		if s.Start < at || s.End < s.Start || int(s.End) > r.End || r.End > len(b) {
			t.Fatalf("span %v behind offset %d in a head of %d..%d", s, at, r.Start, r.End)
		}
		at = s.End
	}
	step(r.MethodName)
	step(r.Target.All)
	step(Span{int32(r.LineEnd), int32(r.LineEnd)})
	for _, f := range r.Fields {
		step(f.Name)
		step(f.Value)
		step(Span{f.End, f.End})
	}
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\nhello"))
	f.Add([]byte("HTTP/1.0 304\r\nConnection: keep-alive\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 101 X\r\nUpgrade: a\r\nConnection: upgrade\r\nTransfer-Encoding: chunked\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newResponse()
		if r.Parse(b, testLimits) != nil {
			return
		}
		theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b[:r.End])), &http.Request{Method: "GET"})
		if err != nil {
			return // it is stricter in field values that have no say in framing
		}
		if theirs.StatusCode != r.Status {
			t.Fatalf("status %d; net/http has %d", r.Status, theirs.StatusCode)
		}
		if got, want := r.Body(MethodGet), bodyOf(theirs.ContentLength, theirs.TransferEncoding); r.Status >= 200 && got != want {
			t.Fatalf("body %+v; net/http has %+v", got, want)
		}
	})
}

// bodyOf is net/http's idea of a message's content.
func bodyOf(length int64, encoding []string) Body {
	switch {
	case len(encoding) > 0:
		return Body{Kind: BodyChunked}
	case length > 0:
		return Body{Kind: BodyLength, Length: length}
	case length < 0:
		return Body{Kind: BodyUntilClose}
	}
	return Body{}
}

// What httpparse accepts, net/http reads as the same: where they differ, one of two readers in a chain could be led
// astray.
func FuzzRequestNetHTTP(f *testing.F) {
	for _, row := range goodHeads {
		f.Add([]byte(row.head))
	}
	f.Add([]byte("POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nA: b\r\nA: c\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newRequest()
		if r.Parse(b, testLimits) != nil {
			return
		}
		b = b[r.Start:r.End]
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			if why := stricter(err); why == "" {
				t.Fatalf("net/http refuses %q: %v", b, err)
			}
			return
		}
		at := func(s Span) string { return string(Span{s.Start - int32(r.Start), s.End - int32(r.Start)}.In(b)) }
		if theirs.Method != at(r.MethodName) || theirs.RequestURI != at(r.Target.All) || theirs.ProtoMinor != int(r.Minor) {
			t.Fatalf("got %q %q 1.%d; net/http has %q %q 1.%d", at(r.MethodName), at(r.Target.All), r.Minor, theirs.Method, theirs.RequestURI, theirs.ProtoMinor)
		}
		if got, want := r.Body(), bodyOf(theirs.ContentLength, theirs.TransferEncoding); got != want {
			t.Fatalf("body %+v; net/http has %+v", got, want)
		}
		fields := http.Header{}
		for _, f := range r.Fields {
			name := textproto.CanonicalMIMEHeaderKey(at(f.Name))
			fields[name] = append(fields[name], at(f.Value))
		}
		for _, name := range []string{"Host", "Content-Length", "Transfer-Encoding", "Trailer", "Pragma", "Cache-Control"} {
			fields.Del(name) // net/http takes these out, or adds one for another
			theirs.Header.Del(name)
		}
		if diff := cmp.Diff(fields, theirs.Header); diff != "" {
			t.Fatalf("fields (-ours +net/http):\n%s", diff)
		}
	})
}

// stricter says why net/http refuses what we accept, where that is no danger; nothing where it would be one.
func stricter(err error) string {
	for text, why := range map[string]string{
		"invalid URL escape":          "we do not decode the path: the provider does",
		"invalid character":           "likewise, in what net/url takes for a host",
		"invalid URI for request":     "net/url refuses paths that do not parse; they say nothing of framing",
		"invalid host":                "net/url knows more hosts than can be resolved, and fewer that can",
		"missing required host":       "it wants a host in each absolute URI",
		"too many Host headers":       "we have counted them",
		"malformed Host header":       "it refuses some reg-names that we let pass",
		"bad trailer key":             "it checks the Trailer field's list; we drop or pass it as it is",
		"invalid Trailer key":         "likewise",
		"malformed MIME header":       "it refuses field names that it could not canonicalise",
		"invalid method":              "it refuses CONNECT and PRI in odd places",
		"first path segment":          "net/url's rule for relative references, which these are not",
		"invalid port":                "it reads a port in what is a path to us",
		"net/url: invalid":            "control characters in obs-text",
		"unsupported transfer":        "it refuses chunked with trailing white space that we have trimmed",
		"invalid userinfo":            "net/url looks for user information in a path",
		"missing protocol scheme":     "net/url reads a scheme into a path",
		"invalid empty Content-Lengt": "we refuse it too",
	} {
		if strings.Contains(err.Error(), text) {
			return why
		}
	}
	return ""
}

// FuzzChunks compares with the standard library's decoder, and with itself in other pieces.
func FuzzChunks(f *testing.F) {
	for _, body := range []string{
		"3\r\nabc\r\n0\r\n\r\n", "3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n", "0\r\n\r\n", "a\r\n0123456789\r\n0\r\n\r\n", "3;a=\"\\\"\"\r\nabc\r\n00\r\n\r\n",
	} {
		f.Add(body, 3)
	}
	f.Fuzz(func(t *testing.T, body string, cut int) {
		data, used, done, err := chunked(body, len(body)+1)
		data2, used2, done2, err2 := chunked(body, 1+max(cut, -cut)%32)
		if data != data2 || used != used2 || done != done2 || err != err2 {
			t.Fatalf("whole: %q %d %v %v; in pieces: %q %d %v %v", data, used, done, err, data2, used2, done2, err2)
		}
		if !done {
			return
		}
		theirs, err := io.ReadAll(httputil.NewChunkedReader(strings.NewReader(body)))
		if err == nil && string(theirs) != data {
			t.Fatalf("got %q; net/http has %q", data, theirs)
		}
		if err != nil && !strings.Contains(err.Error(), "too much overhead") && !strings.Contains(err.Error(), "too large") {
			t.Fatalf("net/http refuses %q: %v", body, err)
		}
	})
}

func FuzzTarget(f *testing.F) {
	for _, s := range []string{"a:1", "http://a/b?c", "*", "/", "[::1]:1", "http://[::1]", "http://a:80?"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, connect bool) {
		m := MethodOptions
		if connect {
			m = MethodConnect
		}
		var target Target
		if target.parse([]byte(s), 0, m) != nil {
			return
		}
		host := string(target.Host.In([]byte(s)))
		switch target.Form {
		case AuthorityForm, AbsoluteForm:
			if host == "" || target.Port == 0 {
				t.Fatalf("%q: host %q, port %d", s, host, target.Port)
			}
			authority := string(target.Authority.In([]byte(s)))
			if !strings.HasPrefix(strings.TrimPrefix(authority, "["), host) {
				t.Fatalf("%q: host %q in authority %q", s, host, authority)
			}
		}
		if strings.ContainsAny(host, "@/?#\\% \r\n\x00") {
			t.Fatalf("%q: host %q", s, host)
		}
	})
}
