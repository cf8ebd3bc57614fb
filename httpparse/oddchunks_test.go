package httpparse

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// chunkReadings is the table of chunked bodies of requests and responses beside each other. A response's are passed on as
// they came.
var chunkReadings = []struct {
	name, body string
	request    error
	response   error
	odd        []Oddity
	data       string // of the response
}{
	// RFC 9112 section 7.1: 1*HEXDIG. White space behind it stands before extensions at best (section 7.1.1).
	{"space behind the size", "3 \r\nabc\r\n0\r\n\r\n", errChunkSize, nil, []Oddity{OddChunkSpace}, "abc"},
	{"spaces and tabs behind the size", "3\t \t\r\nabc\r\n0  \r\n\r\n", errChunkSize, nil, []Oddity{OddChunkSpace}, "abc"},
	{"space before the semicolon", "3 ;a\r\nabc\r\n0\r\n\r\n", errChunkSize, nil, []Oddity{OddChunkSpace}, "abc"},
	{"extension without a semicolon", "3 a\r\nabc\r\n0\r\n\r\n", errChunkSize, errChunkSize, nil, ""},
	{"digits behind a space", "3 3\r\nabc\r\n0\r\n\r\n", errChunkSize, errChunkSize, nil, ""},
	{"space before the size", " 3\r\nabc\r\n0\r\n\r\n", errChunkSize, errChunkSize, nil, ""},
	{"space for the size", " \r\nabc\r\n0\r\n\r\n", errChunkSize, errChunkSize, nil, ""},
	{"sign", "+3\r\nabc\r\n0\r\n\r\n", errChunkSize, errChunkSize, nil, ""},
	{"0x", "0x3\r\nabc\r\n0\r\n\r\n", errChunkSize, errChunkSize, nil, ""},
	{"empty size", "\r\nabc\r\n0\r\n\r\n", errChunkSize, errChunkSize, nil, ""},
	{"CR and a letter behind the size", "3\rabc\r\n0\r\n\r\n", errChunkSize, errChunkSize, nil, ""},
	{"size of 2^63 and a space", "8000000000000000 \r\n", errChunkSize, errChunkSize, nil, ""},
	{"endless white space", "3" + strings.Repeat(" ", 1024) + "\r\n", errChunkSize, errChunkLine, nil, ""},
	{"white space that outweighs the data", strings.Repeat("1"+strings.Repeat(" ", 1000)+"\r\nx\r\n", 20), errChunkSize, errChunkLine, nil, ""},
	// RFC 9112 section 2.2.
	{"LF behind the size", "3\nabc\r\n0\r\n\r\n", errChunkSize, nil, []Oddity{OddChunkLF}, "abc"},
	{"LF behind the size and a space", "3 \nabc\r\n0\r\n\r\n", errChunkSize, nil, []Oddity{OddChunkSpace, OddChunkLF}, "abc"},
	{"LF behind the data", "3\r\nabc\n0\r\n\r\n", errChunkEnd, nil, []Oddity{OddChunkLF}, "abc"},
	{"LF everywhere", "3\nabc\n0\nA: b\n\n", errChunkSize, nil, []Oddity{OddChunkLF}, "abc"},
	{"LF as the end", "0\r\n\n", errTrailer, nil, []Oddity{OddChunkLF}, ""},
	{"LF behind a trailer", "0\r\nA: b\n\r\n", errTrailer, nil, []Oddity{OddChunkLF}, ""},
	{"LF behind an extension", "3;a\nabc\r\n0\r\n\r\n", errChunkExtension, nil, []Oddity{OddChunkLF, OddChunkExtension}, "abc"},
	{"LF in a quote", "3;a=\"\nabc\r\n0\r\n\r\n", errChunkExtension, errChunkExtension, nil, ""},
	{"CR in a quote", "3;a=\"\r\nabc\r\n0\r\n\r\n", errChunkExtension, errChunkExtension, nil, ""},
	{"no end behind the data", "3\r\nabc0\r\n\r\n", errChunkEnd, errChunkEnd, nil, ""},
	{"CR alone behind the data", "3\r\nabc\r0\r\n\r\n", errChunkEnd, errChunkEnd, nil, ""},
	{"CR and another byte at the end", "0\r\n\rX", errTrailer, errTrailer, nil, ""},
	// Control characters: RFC 9110 section 5.5.
	{"control characters in extensions", "3;\x01\x7f;b=\"\x02\\\x03\"\r\nabc\r\n0\r\n\r\n", errChunkExtension, nil, []Oddity{OddControl}, "abc"},
	{"control character in a trailer", "0\r\nA: \x01b\r\n\r\n", errTrailer, nil, []Oddity{OddControl}, ""},
	{"NUL in an extension", "3;\x00\r\nabc\r\n0\r\n\r\n", errChunkExtension, errChunkExtension, nil, ""},
	{"NUL in a trailer", "0\r\nA: b\x00\r\n\r\n", errTrailer, errTrailer, nil, ""},
	{"NUL in a trailer's name", "0\r\nA\x00: b\r\n\r\n", errTrailer, errTrailer, nil, ""},
	{"CR in a trailer", "0\r\nA: b\rc\r\n\r\n", errTrailer, errTrailer, nil, ""},
	// Trailer lines: RFC 9112 section 7.1.2, RFC 9110 section 6.5.1. Who merges them into the head may read them otherwise.
	{"space before a trailer's colon", "0\r\nA : b\r\n\r\n", errTrailer, nil, []Oddity{OddTrailer}, ""},
	{"trailer without a colon", "0\r\nA\r\nB: c\r\n\r\n", errTrailer, nil, []Oddity{OddTrailer}, ""},
	{"trailer without a name", "0\r\n: b\r\n\r\n", errTrailer, nil, []Oddity{OddTrailer}, ""},
	{"folded trailer", "0\r\nA: b\r\n c\r\n\r\n", errTrailer, nil, []Oddity{OddTrailer}, ""},
	{"obs-text in a trailer's name", "0\r\nA\xa0: b\r\n\r\n", errTrailer, nil, []Oddity{OddTrailer}, ""},
	{"Content-Length as a trailer", "0\r\nContent-Length: 5\r\n\r\n", errTrailerField, nil, []Oddity{OddTrailer}, ""},
	{"Content-Length and a space as a trailer", "0\r\nContent-Length : 5\r\n\r\n", errTrailer, nil, []Oddity{OddTrailer}, ""},
	{"endless trailers", "0\r\n" + strings.Repeat("A: b\n", 2000), errTrailer, errTrailerSize, nil, ""},
}

func TestChunkReadings(t *testing.T) {
	for _, row := range chunkReadings {
		for _, n := range []int{1, 2, 3, 7, len(row.body) + 4} {
			if _, _, _, err := chunked(row.body, n); err != row.request {
				t.Errorf("%s in pieces of %d, request: got %v; want %v", row.name, n, err, row.request)
			}
			c := ChunksOfResponse()
			data, used, done, err := chunkedBy(&c, row.body+"rest", n)
			if err != row.response {
				t.Errorf("%s in pieces of %d, response: got %v; want %v", row.name, n, err, row.response)
			}
			if err != nil {
				continue
			}
			if data != row.data || used != len(row.body) || !done {
				t.Errorf("%s in pieces of %d: got %q, %d of %d bytes, done %v; want %q", row.name, n, data, used, len(row.body), done, row.data)
			}
			if odd := slices.Collect(c.Odd.All()); !slices.Equal(odd, row.odd) {
				t.Errorf("%s: odd is %v; want %v", row.name, odd, row.odd)
			}
		}
	}
}

// What a request's reader takes a response's takes as the same, and finds nothing odd in it.
func TestChunksOfResponseTakeGoodOnes(t *testing.T) {
	bodies := slices.Clone(chunkedBodies)
	for _, row := range goodChunks {
		bodies = append(bodies, row.body)
	}
	for _, body := range bodies {
		data, used, _, _ := chunked(body, len(body))
		c := ChunksOfResponse()
		if d, u, done, err := chunkedBy(&c, body+"rest", 1); d != data || u != used || !done || err != nil || c.Odd != 0 {
			t.Errorf("%q: got %q, %d, done %v, odd %v, %v; want %q, %d", body, d, u, done, slices.Collect(c.Odd.All()), err, data, used)
		}
	}
}

// slowOddChunks decodes a whole chunked body of a response the readable way. ok is false if it is not complete or cannot be
// read.
func slowOddChunks(body string) (data string, used int, ok bool) {
	rest, excess := body, 0
	for {
		line, after, found := cutLine(rest)
		size, extension, _ := strings.Cut(line, ";")
		digits := strings.TrimRight(size, " \t")
		n, err := strconv.ParseUint(digits, 16, 63)
		excess += len(extension) + len(size) - len(digits) + max(0, len(digits)-16)
		if !found || err != nil || !slowQuotes(extension) || strings.ContainsAny(line, "\r\x00") || len(line) > 1<<10 || excess > 16<<10 {
			return "", 0, false
		}
		rest = after
		if n == 0 {
			break
		}
		if n > uint64(len(rest)) {
			return "", 0, false
		}
		data += rest[:n]
		if line, rest, found = cutLine(rest[n:]); !found || line != "" {
			return "", 0, false
		}
		excess = max(0, excess-int(n))
	}
	trailers := rest
	for {
		line, after, found := cutLine(rest)
		if !found || strings.ContainsAny(line, "\r\x00") {
			return "", 0, false
		}
		if rest = after; line == "" {
			return data, len(body) - len(rest), len(trailers)-len(rest) <= 8<<10
		}
	}
}

// cutLine cuts at the first LF, and the CR before it.
func cutLine(s string) (line, rest string, found bool) {
	line, rest, found = strings.Cut(s, "\n")
	return strings.TrimSuffix(line, "\r"), rest, found
}

// slowQuotes checks that each quote is closed.
func slowQuotes(s string) bool {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
			if i == len(s) {
				return false
			}
		}
	}
	return !quoted
}

// likeSlowOdd checks that a response's Chunks, fed in pieces of n bytes, make of body what slowOddChunks makes of it, and
// find the same odd however it comes.
func likeSlowOdd(t *testing.T, body string, n int) {
	t.Helper()
	c, whole := ChunksOfResponse(), ChunksOfResponse()
	data, used, done, err := chunkedBy(&c, body, n)
	slowData, slowUsed, ok := slowOddChunks(body)
	if done != ok || done && (data != slowData || used != slowUsed || err != nil) {
		t.Fatalf("%q in pieces of %d: got %q, %d, done %v, %v; the slow decoder has %q, %d, %v", body, n, data, used, done, err, slowData, slowUsed, ok)
	}
	if _, _, _, atOnce := chunkedBy(&whole, body, len(body)+1); atOnce != err || whole.Odd != c.Odd {
		t.Fatalf("%q in pieces of %d: %v, odd in %v; at once %v, odd in %v", body, n, err, slices.Collect(c.Odd.All()), atOnce, slices.Collect(whole.Odd.All()))
	}
	if plain, _, _, refused := chunked(body, n); (refused == nil && done) != (done && c.Odd == 0) || refused == nil && plain != data {
		t.Fatalf("%q: a request's is %v, %q; a response's is odd in %v, %q", body, refused, plain, slices.Collect(c.Odd.All()), data)
	}
}

func TestOddChunksLikeSlow(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, row := range chunkReadings {
		for n := 1; n <= min(len(row.body), 40); n++ {
			likeSlowOdd(t, row.body, n)
		}
		for range 50 { // with a byte of it put in elsewhere
			from, to := random.IntN(len(row.body)), random.IntN(len(row.body))
			likeSlowOdd(t, row.body[:to]+row.body[from:from+1]+row.body[to:], 1+random.IntN(8))
		}
	}
}

// FuzzOddChunks: a response's body is the same however it comes, and what the slow decoder makes of it.
func FuzzOddChunks(f *testing.F) {
	for i, row := range chunkReadings {
		f.Add(row.body, i)
	}
	for i, body := range chunkedBodies {
		f.Add(body, i)
		f.Add(strings.ReplaceAll(body, "\r\n", "\n"), i)
	}
	f.Fuzz(func(t *testing.T, body string, piece int) {
		likeSlowOdd(t, body, 1+max(0, piece)%100)
	})
}
