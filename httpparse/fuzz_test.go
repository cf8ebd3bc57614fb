package httpparse

import (
	"bufio"
	"bytes"
	"net/http"
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
		if r.Parse(b, testLimits) != nil {
			return // FuzzPieces looks at what is refused
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
