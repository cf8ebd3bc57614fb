package httpparse

import (
	"bytes"
	"slices"
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
		if r.Parse(b, testLimits) != nil {
			return // FuzzPieces looks at what is refused
		}
		inOrder(t, b, r)
		again := newRequest()
		if n := max(cut, -cut); n < r.End && n >= 0 && again.Parse(b[:n:n], testLimits) != ErrNeedMore {
			t.Fatalf("the first %d bytes are more than a beginning", n)
		}
		if err := again.Parse(b[:r.End:r.End], testLimits); err != nil {
			t.Fatalf("the head alone: %v", err)
		}
		if diff := cmp.Diff(r, again, cmp.AllowUnexported(Request{}, head{})); diff != "" {
			t.Fatalf("the head alone is another:\n%s", diff)
		}
		if err := progress(b[:r.End], 1+int(uint(cut)%64)); err != nil {
			t.Fatalf("in pieces: %v", err)
		}
	})
}

// inOrder checks that every span lies in the head, behind the one before it.
func inOrder(t *testing.T, b []byte, r *Request) {
	t.Helper()
	spans := []Span{r.MethodName, r.Target.All}
	if r.Start > int(r.MethodName.Start) {
		t.Fatalf("the method stands at %v, before the head's %d", r.MethodName, r.Start)
	}
	ordered(t, b, &r.head, append(spans, Span{int32(r.LineEnd), int32(r.LineEnd)}))
	for _, part := range []Span{r.Target.Authority, r.Target.Host, r.Target.Path, r.Target.Query} {
		if part != (Span{}) && (part.Start < r.Target.All.Start || part.End < part.Start || part.End > r.Target.All.End) {
			t.Fatalf("%v is not in the target %v", part, r.Target.All)
		}
	}
}

// ordered checks that the spans of the first line and those of the field lines behind it follow one another.
func ordered(t *testing.T, b []byte, h *head, spans []Span) {
	t.Helper()
	for _, f := range h.Fields {
		spans = append(spans, f.Name, f.Value, Span{f.End, f.End})
	}
	at := int32(0)
	for _, s := range spans {
		if s.Start < at || s.End < s.Start || int(s.End) > h.End || h.End > len(b) {
			t.Fatalf("span %v behind offset %d in a head of %d bytes", s, at, h.End)
		}
		at = s.End
	}
	if end := string(b[at:h.End]); h.Odd == 0 && end != "\r\n" || !strings.HasSuffix(end, "\n") {
		t.Fatalf("the head ends at %d, the last line at %d, and %q is between", h.End, at, end)
	}
}

// mendedOnce checks that the head that an odd one goes out as is the same message, and not to be mended again.
func mendedOnce(t *testing.T, b []byte, r *Response) {
	t.Helper()
	out, ok := r.Append(nil, b, Rewrite{})
	again := newResponse()
	if err := again.Parse(out, Limits{Head: 2 * testLimits.Head}); !ok || err != nil || !again.Passes(Rewrite{}) {
		t.Fatalf("%q goes out as %q, odd in %v, %v", b[:r.End], out, slices.Collect(again.Odd.All()), err)
	}
	if passes := r.Passes(Rewrite{}); passes != bytes.Equal(out, b[:r.End]) {
		t.Fatalf("%q passes as it came: %v; it goes out as %q", b[:r.End], passes, out)
	}
	body, err := r.Body(MethodGet)
	if now, fault := again.Body(MethodGet); now != body || (err == nil) != (fault == nil) || again.Persists() != r.Persists() && r.Minor == again.Minor {
		t.Fatalf("%q goes out as %q: %+v, %v; want %+v, %v", b[:r.End], out, now, fault, body, err)
	}
}

func FuzzResponse(f *testing.F) {
	for _, head := range goodResponses {
		f.Add([]byte(head), 7)
	}
	for _, row := range badResponses {
		f.Add([]byte(row.head), 3)
	}
	for _, row := range readings {
		f.Add([]byte(row.head()), 11)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		r := newResponse()
		if err := r.Parse(b, testLimits); err != nil {
			// What is refused is refused with more behind it too.
			if err != ErrNeedMore && newResponse().Parse(append(bytes.Clone(b), "\r\n\r\n"...), testLimits) == nil {
				t.Fatalf("%q: got %v, but it is good with an end", b, err)
			}
			return
		}
		ordered(t, b, &r.head, []Span{{0, int32(r.LineEnd)}})
		mendedOnce(t, b, r)
		if r.Status < 100 || r.Status > 999 || r.Minor > 1 {
			t.Fatalf("%q: status %d, version 1.%d", b, r.Status, r.Minor)
		}
		again := newResponse()
		if n := max(cut, -cut); n < r.End && n >= 0 && again.Parse(b[:n:n], testLimits) != ErrNeedMore {
			t.Fatalf("the first %d bytes are more than a beginning", n)
		}
		if err := again.Parse(b[:r.End:r.End], testLimits); err != nil {
			t.Fatalf("the head alone: %v", err)
		}
		if diff := cmp.Diff(r, again, cmp.AllowUnexported(Response{}, head{})); diff != "" {
			t.Fatalf("the head alone is another:\n%s", diff)
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
