package httpparse

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A verdict is what a reader makes of the bytes so far.
type verdict string

const (
	accepted verdict = "accepted"
	refused  verdict = "refused"
	open     verdict = "more bytes needed"
)

func verdictOf(err error) verdict {
	switch err {
	case nil:
		return accepted
	case ErrNeedMore:
		return open
	}
	return refused
}

func parseWhole(b []byte, lim Limits) error { return newRequest().Parse(b[:len(b):len(b)], lim) }

// parsePieces reads b in pieces that end at the cuts and at the end of b, as a connection does: Progress decides when
// the head is complete, then Parse reads it. used is how much had come when the verdict fell.
func parsePieces(b []byte, lim Limits, cuts []int) (used int, err error) {
	var p Progress
	for _, end := range append(cuts, len(b)) {
		piece := b[:end:end]
		if err = p.Next(piece, lim); err == nil {
			err = parseWhole(piece, lim)
		}
		if err != ErrNeedMore {
			return end, err
		}
	}
	return len(b), err
}

// everyCut cuts after each byte, someCuts at random places.
func everyCut(b []byte) (cuts []int) {
	for i := 1; i < len(b); i++ {
		cuts = append(cuts, i)
	}
	return cuts
}

func someCuts(b []byte, r *rand.Rand) (cuts []int) {
	for i := 1 + r.IntN(len(b)); i < len(b); i += 1 + r.IntN(len(b)) {
		cuts = append(cuts, i)
	}
	return cuts
}

// lateFaults are those that Progress leaves to Parse, which has them when the head is complete: they are in what a field
// means, not in what its line looks like.
var lateFaults = []error{errLengthRepeated, errLengthValue, errEncoding, errOptionFraming}

// agree checks that b has the same verdict in pieces as at once, and that pieces have it no later than the head is
// complete.
func agree(t *testing.T, b []byte, lim Limits, cuts []int) {
	t.Helper()
	whole := parseWhole(b, lim)
	used, err := parsePieces(b, lim, cuts)
	if late := err == ErrNeedMore && slices.Contains(lateFaults, whole); !late && verdictOf(whole) != verdictOf(err) {
		t.Fatalf("%q cut at %v: got %v; want %v, as in one piece", b, cuts, err, whole)
	}
	// What pieces decide early, the bytes up to there decide too.
	if early := parseWhole(b[:used], lim); err != ErrNeedMore && verdictOf(early) != verdictOf(err) {
		t.Fatalf("%q cut at %v: got %v after %d bytes; want %v, as these in one piece", b, cuts, err, used, early)
	}
}

// piecesHeads are for the state that a Progress keeps, beside goodHeads and badHeads. The limits are a head of 100 bytes
// and a target of 20.
var piecesHeads = []struct{ name, head string }{
	{"only empty lines", strings.Repeat("\r\n", 8)},
	{"nine empty lines alone", strings.Repeat("\r\n", 9)},
	{"endless empty lines", strings.Repeat("\r\n", 60)},
	{"bare LF as the first byte", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"bare CR as the first byte", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"head at the limit", "GET / HTTP/1.1\r\nHost: a\r\nA: " + strings.Repeat("x", 68) + "\r\n\r\n"},
	{"head over the limit", "GET / HTTP/1.1\r\nHost: a\r\nA: " + strings.Repeat("x", 69) + "\r\n\r\n"},
	{"head at the limit behind empty lines", "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nA: " + strings.Repeat("x", 68) + "\r\n\r\n"},
	{"head over the limit behind empty lines", "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nA: " + strings.Repeat("x", 69) + "\r\n\r\n"},
	{"long method before a target at the limit", strings.Repeat("M", 55) + " /" + strings.Repeat("x", 19) + " HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"target over the limit", "GET /" + strings.Repeat("x", 20) + " HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"endless method", strings.Repeat("M", 99)},
	{"endless target", "GET /" + strings.Repeat("x", 94)},
	{"endless value", "GET / HTTP/1.1\r\nA: " + strings.Repeat("x", 99)},
	{"second request behind the first", "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\n"},
	{"garbage behind the head", "GET / HTTP/1.1\r\nHost: a\r\n\r\n\x00\n\r"},
}

func allHeads() (heads [][]byte) {
	for _, row := range goodHeads {
		heads = append(heads, []byte(row.head))
	}
	for _, row := range badHeads {
		heads = append(heads, []byte(row.head))
	}
	for _, row := range piecesHeads {
		heads = append(heads, []byte(row.head))
	}
	return heads
}

func TestPiecesAgreeWithWhole(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, lim := range []Limits{testLimits, {Head: 100, Target: 20}} {
		for _, b := range allHeads() {
			agree(t, b, lim, everyCut(b))
			for range 50 {
				agree(t, b, lim, someCuts(b, random))
			}
		}
	}
}

// The verdicts themselves, at the limits, so that the two readers cannot agree on a wrong one.
func TestPiecesAtTheLimits(t *testing.T) {
	lim := Limits{Head: 100, Target: 20}
	want := map[string]error{
		"only empty lines":                         ErrNeedMore,
		"nine empty lines alone":                   errEmptyLines,
		"endless empty lines":                      errEmptyLines, // RFC 9112 section 2.2
		"bare LF as the first byte":                errBareLF,
		"bare CR as the first byte":                errBareCR,
		"head at the limit":                        nil,
		"head over the limit":                      errHeadTooLarge, // RFC 6585 section 5
		"head at the limit behind empty lines":     nil,             // they are no part of the head
		"head over the limit behind empty lines":   errHeadTooLarge,
		"long method before a target at the limit": nil,
		"target over the limit":                    errTargetTooLong, // RFC 9110 section 15.5.15
		"endless method":                           ErrRequestLine,
		"endless target":                           errTargetTooLong,
		"endless value":                            errHeadTooLarge,
		"second request behind the first":          nil,
		"garbage behind the head":                  nil,
	}
	for _, row := range piecesHeads {
		b := []byte(row.head)
		if _, err := parsePieces(b, lim, everyCut(b)); err != want[row.name] {
			t.Errorf("%s: got %v; want %v", row.name, err, want[row.name])
		}
	}
}

// One field line more than the limit is refused when it ends, in pieces and at once, in requests and responses; as many
// as the limit are not (RFC 6585 section 5).
func TestFieldsLimit(t *testing.T) {
	for _, row := range []struct{ set, most int }{
		{0, MaxFields}, {1, 1}, {2, 2}, {100, 100}, {MaxFields, MaxFields}, {MaxFields + 1, MaxFields + 1}, {1000, 1000}, {math.MaxInt, 1000},
	} {
		lim := Limits{Head: 32 << 10, Target: 16 << 10, Fields: row.set}
		good := []byte("GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: b\r\n", row.most-1))
		if _, err := parsePieces(good, lim, everyCut(good)); err != ErrNeedMore {
			t.Errorf("%d field lines of %d: got %v; want more bytes needed", row.most, row.set, err)
		}
		if _, err := parsePieces(append(good, "\r\n"...), lim, nil); err != nil {
			t.Errorf("%d field lines of %d and the end: got %v", row.most, row.set, err)
		}
		response := append([]byte("HTTP/1.1 200 OK\r\n"), good[len("GET / HTTP/1.1\r\n"):]...)
		if err := newResponse().Parse(append(response, "\r\n"...), lim); err != nil {
			t.Errorf("%d field lines of %d in a response: got %v", row.most, row.set, err)
		}
		if row.set == math.MaxInt {
			continue // there is no more than that
		}
		bad := append(good, "A: b\r\n"...)
		if used, err := parsePieces(bad, lim, everyCut(bad)); err != errTooManyFields || used != len(bad) {
			t.Errorf("%d field lines of %d: got %v after %d bytes; want %v after %d", row.most+1, row.set, err, used, errTooManyFields, len(bad))
		}
		if err := parseWhole(bad, lim); err != errTooManyFields {
			t.Errorf("%d field lines of %d at once: got %v", row.most+1, row.set, err)
		}
		if err := newResponse().Parse(append(response, "A: b\r\n"...), lim); err != errTooManyFields {
			t.Errorf("%d field lines of %d in a response: got %v", row.most+1, row.set, err)
		}
	}
}

// An array of as many field lines as a larger limit is enough for them.
func TestFieldsLimitDoesNotAllocate(t *testing.T) {
	lim := Limits{Head: 32 << 10, Target: 16 << 10, Fields: 1000}
	b := []byte("GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: b\r\n", lim.Fields-1) + "\r\n")
	r := Request{head: head{Fields: make([]Field, 0, lim.Fields)}}
	if n := testing.AllocsPerRun(10, func() { _ = r.Parse(b, lim) }); n != 0 || len(r.Fields) != lim.Fields {
		t.Errorf("%v allocations for %d field lines", n, len(r.Fields))
	}
}

// A slow sender costs linear work. Time and calls do not show it, what is looked at does: all that has been looked at is
// poisoned before the next byte comes. Two things may be looked at again: the byte before, for CR LF, and a line once,
// when it ends. The method is the third; it is at most maxMethod bytes.
func TestProgressLooksAtBytesOnce(t *testing.T) {
	const method = "GET "
	head := method + "/" + strings.Repeat("p", 4000) + " HTTP/1.1\r\nHost: a\r\n" +
		strings.Repeat("Some-Field: "+strings.Repeat("v", 80)+"\r\n", 100) + "Long: " + strings.Repeat("v", 9000) + "\r\n\r\n"
	for _, poison := range []byte{0, '\n', '\r'} {
		var p Progress
		dark := bytes.Repeat([]byte{poison}, len(head)) // poison but for the last two bytes, and the whole line at its end
		copy(dark, method)
		line := 0
		for i := range len(head) {
			dark[i] = head[i]
			if i >= len(method)+2 {
				dark[i-2] = poison
			}
			if head[i] == '\n' {
				copy(dark[line:], head[line:i+1])
			}
			err := p.Next(dark[:i+1:i+1], testLimits)
			if last := i == len(head)-1; err != nil && !(err == ErrNeedMore && !last) {
				t.Fatalf("poison %q, byte %d: got %v", poison, i, err)
			}
			if head[i] == '\n' {
				copy(dark[line:], bytes.Repeat([]byte{poison}, i+1-line))
				line = i + 1
			}
		}
	}
}

// FuzzPieces: pieces never change a verdict, whatever the limits.
func FuzzPieces(f *testing.F) {
	for i, b := range allHeads() {
		f.Add(b, uint64(i), uint16(100), uint16(20), uint8(2))
		f.Add(b, uint64(i), uint16(32<<10), uint16(16<<10), uint8(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, seed uint64, head, target uint16, fields uint8) {
		if len(b) == 0 || head < 2 {
			return // an empty line is no part of the head, but its CR alone looks like one of 1 byte
		}
		lim := Limits{Head: int(head), Target: int(target), Fields: int(fields)}
		agree(t, b, lim, someCuts(b, rand.New(rand.NewPCG(seed, 0))))
		agree(t, b, lim, everyCut(b))
	})
}

// A browser's head that comes in pieces: 1 byte is the worst there is, 536 the smallest segment that TCP sends unasked.
func BenchmarkProgress(b *testing.B) {
	head := []byte(benchHeads[1].head)
	for _, piece := range []int{1, 64, 536} {
		b.Run(strconv.Itoa(piece), func(b *testing.B) {
			b.SetBytes(int64(len(head)))
			b.ReportAllocs()
			for b.Loop() {
				if err := progress(head, piece); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
