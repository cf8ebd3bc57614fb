package httpparse

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// slowForbidden are the trailer fields that are refused (RFC 9110 section 6.5.1).
var slowForbidden = []string{
	"transfer-encoding", "content-length", "host", "trailer", "connection", "proxy-connection",
	"upgrade", "te", "expect", "authorization", "proxy-authorization", "proxy-authenticate",
}

// slowChunks decodes a whole chunked body the readable way (RFC 9112 section 7.1). used is where it ends; ok is false if
// it is not complete or not good.
func slowChunks(body string) (data string, used int, ok bool) {
	rest, excess := body, 0
	for {
		line, after, found := strings.Cut(rest, "\r\n")
		digits, extension, _ := strings.Cut(line, ";")
		size, err := strconv.ParseUint(digits, 16, 63)
		excess += len(extension)
		if !found || err != nil || !slowExtension(extension) || len(line) > 1<<10 || excess > 16<<10 {
			return "", 0, false
		}
		rest = after
		if size == 0 {
			break
		}
		if size > uint64(len(rest)) || !strings.HasPrefix(rest[size:], "\r\n") {
			return "", 0, false
		}
		data, rest = data+rest[:size], rest[size+2:]
		excess = max(0, excess-int(size))
	}
	n, ok := slowTrailers(rest)
	return data, len(body) - len(rest) + n, ok && n <= 8<<10
}

// slowExtension checks that no control character is in an extension and each quote is closed.
func slowExtension(s string) bool {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		}
	}
	return !quoted && !strings.ContainsFunc(s, isControl)
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// slowTrailers returns the length of the trailer section at the beginning of s, with the empty line that ends it.
func slowTrailers(s string) (n int, ok bool) {
	const tchar = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for {
		line, _, found := strings.Cut(s[n:], "\r\n")
		name, value, colon := strings.Cut(line, ":")
		n += len(line) + len("\r\n")
		switch {
		case !found:
			return 0, false
		case line == "":
			return n, true
		case !colon, name == "", strings.Trim(name, tchar) != "", strings.ContainsFunc(value, isControl),
			slices.Contains(slowForbidden, strings.ToLower(name)):
			return 0, false
		}
	}
}

// likeSlow checks that Chunks, fed in pieces of n bytes, makes of body what slowChunks makes of it.
func likeSlow(t *testing.T, body string, n int) {
	t.Helper()
	data, used, done, err := chunked(body, n)
	slowData, slowUsed, ok := slowChunks(body)
	if done != ok || done && (data != slowData || used != slowUsed) || done && err != nil {
		t.Fatalf("%q in pieces of %d: got %q, %d, done %v, %v; the slow decoder has %q, %d, %v", body, n, data, used, done, err, slowData, slowUsed, ok)
	}
}

// chunkedBodies are good ones, for every cut and as seeds.
var chunkedBodies = []string{
	"0\r\n\r\n",
	"3\r\nabc\r\n0\r\n\r\n",
	"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
	"00000000000000000003\r\nabc\r\n000\r\n\r\n",
	"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
	"5\r\n\r\n0\r\n\r\n0\r\n\r\n",
	"3;\r\nabc\r\n0;\r\n\r\n",
	"3;a\r\nabc\r\n0;b=c;d\r\n\r\n",
	"3;a=\"b;c\"\r\nabc\r\n0\r\n\r\n",
	"3;a=\"b\\\"c\\\\\"\r\nabc\r\n0\r\n\r\n",
	"3;\"\"\"\"\r\nabc\r\n0\r\n\r\n",
	"3;a=\t\x80\xff\r\nabc\r\n0\r\n\r\n",
	"0\r\nA: b\r\nExpires: never\r\n\r\n",
	"0\r\nA:\r\nB:  \t\r\n\r\n",
	"1\r\na\r\n0;x\r\nA: \xff\"\r\n\r\n",
}

// Every good body, cut in two at every boundary and in three at every two: same data, same end, and not done before it.
func TestChunksAtEveryCut(t *testing.T) {
	for _, body := range chunkedBodies {
		data, used, ok := slowChunks(body)
		if !ok || used != len(body) {
			t.Fatalf("%q: the slow decoder refuses it", body)
		}
		for i := range len(body) {
			for j := i; j <= len(body); j++ {
				var c Chunks
				var got string
				total := 0
				for _, piece := range []string{body[:i], body[i:j], body[j:] + "more"} {
					n, d, err := feed(&c, piece)
					if total, got = total+n, got+d; err != nil || c.Done() != (total == len(body)) {
						t.Fatalf("%q cut at %d and %d: done %v after %d bytes, %v", body, i, j, c.Done(), total, err)
					}
				}
				if got != data || !c.Done() {
					t.Fatalf("%q cut at %d and %d: got %q, done %v; want %q", body, i, j, got, c.Done(), data)
				}
			}
		}
	}
}

// feed gives p to c until it is used up or the body is done.
func feed(c *Chunks, p string) (used int, data string, err error) {
	for used < len(p) && !c.Done() {
		n, d, err := c.Next([]byte(p[used:]))
		used, data = used+n, data+string(d)
		if err != nil {
			return used, data, err
		}
	}
	return used, data, nil
}

// All 256 byte values in each position: those in accepted end the body well, those in open leave it unfinished, all
// others are refused with want, or as except says.
func TestEveryByteOfChunks(t *testing.T) {
	const digits = "123456789abcdefABCDEF"
	text := bytesOf(func(c byte) bool { return c == '\t' || c >= ' ' && c != 0x7f }) // RFC 9110 section 5.5
	token := bytesOf(func(c byte) bool { return IsToken([]byte{c}) })
	unquoted := strings.ReplaceAll(text, `"`, "")
	const after = "\r\nabc\r\n0\r\n\r\n"
	for _, row := range []struct {
		name, before, after, accepted, open string
		want                                error
		except                              map[byte]error
	}{
		{"first of a size", "", "3" + after, "0", digits, errChunkSize, nil},
		{"within a size", "0", "3" + after, "0", digits, errChunkSize, map[byte]error{';': errTrailer}}, // the last chunk then
		{"behind a size", "3", after, ";", "0" + digits, errChunkSize, nil},
		{"extension", "3;a", "b" + after, unquoted, "", errChunkExtension, map[byte]error{'\r': errChunkSize}},
		{"quoted extension", "3;a=\"", "b\"" + after, unquoted, "", errChunkExtension, nil},
		{"escaped in a quote", "3;a=\"\\", "b\"" + after, text, "", errChunkExtension, nil},
		{"LF of the size line", "3\r", "abc\r\n0\r\n\r\n", "\n", "", errChunkSize, nil},
		{"data", "3\r\na", "c\r\n0\r\n\r\n", bytesOf(func(byte) bool { return true }), "", nil, nil},
		{"CR behind the data", "3\r\nabc", "\n0\r\n\r\n", "\r", "", errChunkEnd, nil},
		{"LF behind the data", "3\r\nabc\r", "0\r\n\r\n", "\n", "", errChunkEnd, nil},
		{"first of a trailer", "0\r\n", "b: c\r\n\r\n", token, "", errTrailer, nil},
		{"trailer name", "0\r\na", "b: c\r\n\r\n", token + ":", "", errTrailer, nil},
		{"trailer value", "0\r\na: b", "c\r\n\r\n", text, "", errTrailer, nil},
		{"LF of a trailer", "0\r\na: b\r", "\r\n", "\n", "", errTrailer, nil},
		{"last LF", "0\r\na: b\r\n\r", "", "\n", "", errTrailer, nil},
	} {
		for c := range 256 {
			body := row.before + string([]byte{byte(c)}) + row.after
			want, wantDone := row.want, false
			switch {
			case strings.IndexByte(row.accepted, byte(c)) >= 0:
				want, wantDone = nil, true
			case strings.IndexByte(row.open, byte(c)) >= 0:
				want = nil
			case row.except[byte(c)] != nil:
				want = row.except[byte(c)]
			}
			if _, _, done, err := chunked(body, 1); err != want || done != wantDone {
				t.Errorf("%s, byte %#02x: got done %v, %v; want %v, %v", row.name, c, done, err, wantDone, want)
			}
			likeSlow(t, body, 1)
		}
	}
}

// bytesOf returns the byte values that are of a set.
func bytesOf(set func(c byte) bool) string {
	var in []byte
	for c := range 256 {
		if set(byte(c)) {
			in = append(in, byte(c))
		}
	}
	return string(in)
}

const bodyEnd = "\r\n\r\n"

// signedChunks are chunks of so many bytes of data, with an extension of so many.
func signedChunks(extension, data, chunks int) string {
	return strings.Repeat(strconv.FormatInt(int64(data), 16)+";"+strings.Repeat("x", extension)+"\r\n"+strings.Repeat("d", data)+"\r\n", chunks)
}

// The bounds to the byte. RFC 9112 section 7.1.1 asks for one on extensions, section 7.1 for care with the size.
var chunkBounds = []struct {
	name, body string
	done       bool
	want       error
}{
	{"size line of 1 KiB, zeros", strings.Repeat("0", 1024) + bodyEnd, true, nil},
	{"size line over 1 KiB, zeros", strings.Repeat("0", 1025) + bodyEnd, false, errChunkLine},
	{"size line of 1 KiB, extension", "0;" + strings.Repeat("x", 1022) + bodyEnd, true, nil},
	{"size line over 1 KiB, extension", "0;" + strings.Repeat("x", 1023) + bodyEnd, false, errChunkLine},
	{"size line over 1 KiB, quoted", "0;\"" + strings.Repeat("\\\"", 511) + "\"" + bodyEnd, false, errChunkLine},
	{"a second size line of 1 KiB", "1\r\nx\r\n" + strings.Repeat("0", 1024) + bodyEnd, true, nil},
	{"size of 2^63-1", "7fffffffffffffff\r\n", false, nil},
	{"size of 2^63", "8000000000000000", false, errChunkSize},
	{"size of 2^64", "10000000000000000", false, errChunkSize},
	{"size of 2^64+3", "10000000000000003\r\nabc", false, errChunkSize},
	{"zeros before 2^63-1", "0007fffffffffffffff\r\n", false, nil},
	{"extensions of 16 KiB more than the data", signedChunks(1001, 1, 16) + "0;" + strings.Repeat("x", 384) + bodyEnd, true, nil},
	{"extensions over 16 KiB more than the data", signedChunks(1001, 1, 16) + "0;" + strings.Repeat("x", 385) + bodyEnd, false, errChunkLine},
	{"extensions as long as the data, without end", signedChunks(1000, 1000, 20) + "0" + bodyEnd, true, nil},
	{"data does not pay for extensions to come", signedChunks(0, 10000, 1) + signedChunks(1001, 1, 17), false, errChunkLine},
	{"trailers of 8 KiB", "0\r\nA:" + strings.Repeat("x", 8<<10-6) + bodyEnd, true, nil},
	{"trailers over 8 KiB", "0\r\nA:" + strings.Repeat("x", 8<<10-5) + bodyEnd, false, errTrailerSize},
	{"trailer lines of 8 KiB", "0\r\n" + strings.Repeat("A:xy\r\n", 1365) + "\r\n", true, nil},
	{"trailer lines over 8 KiB", "0\r\n" + strings.Repeat("A:xy\r\n", 1365) + "B", false, nil},
	{"trailer name without end", "0\r\n" + strings.Repeat("A", 8<<10+1), false, errTrailerSize},
}

func TestChunkBounds(t *testing.T) {
	for _, row := range chunkBounds {
		for _, n := range []int{1, 1000, len(row.body)} {
			if _, _, done, err := chunked(row.body, n); done != row.done || err != row.want {
				t.Errorf("%s in pieces of %d: got done %v, %v; want %v, %v", row.name, n, done, err, row.done, row.want)
			}
			likeSlow(t, row.body, n)
		}
	}
}

// RFC 9110 section 6.5.1. Names near a forbidden one pass.
func TestTrailerNames(t *testing.T) {
	for _, name := range slowForbidden {
		for _, row := range []struct {
			name string
			want error
		}{
			{name, errTrailerField}, {strings.ToUpper(name), errTrailerField},
			{name + "x", nil}, {name[1:], nil}, {"x-" + name, nil}, {name[:len(name)-1] + "_", nil},
		} {
			for _, before := range []string{"", "A: b\r\n"} {
				body := "0\r\n" + before + row.name + ": x\r\n\r\n"
				for n := 1; n <= len(body); n++ {
					if _, _, _, err := chunked(body, n); err != row.want {
						t.Errorf("%s in pieces of %d: got %v; want %v", row.name, n, err, row.want)
					}
				}
			}
		}
	}
}

// Left is what of the current chunk's data is still to come, whatever has been read.
func TestLeftAtEveryByte(t *testing.T) {
	const body = "3;a\r\nabc\r\n0010\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\n"
	left := map[int]int64{} // by bytes read: none where a chunk's data is not what comes next
	for i := range 3 {
		left[len("3;a\r\n")+i] = int64(3 - i)
	}
	for i := range 16 {
		left[len("3;a\r\nabc\r\n0010\r\n")+i] = int64(16 - i)
	}
	for i := range len(body) + 1 {
		var c Chunks
		if used, _, err := feed(&c, body[:i]); used != i || err != nil || c.Left() != left[i] {
			t.Errorf("after %q: got %d (%d bytes, %v); want %d", body[:i], c.Left(), used, err, left[i])
		}
	}
}

// Next with nothing to read, and when the body is done, does nothing: the caller's loop may ask.
func TestChunksNothingToRead(t *testing.T) {
	var c Chunks
	for _, p := range []string{"3\r\n", "abc", "\r\n0\r\n\r\n"} {
		if n, data, err := c.Next(nil); n != 0 || data != nil || err != nil || c.Done() {
			t.Errorf("before %q: got %d, %q, %v", p, n, data, err)
		}
		if _, _, err := feed(&c, p); err != nil {
			t.Fatal(err)
		}
	}
	if n, data, err := c.Next([]byte("GET / HTTP/1.1\r\n")); n != 0 || data != nil || err != nil || !c.Done() || c.Left() != 0 {
		t.Errorf("behind the end: got %d, %q, %v, done %v, %d left", n, data, err, c.Done(), c.Left())
	}
}

// FuzzChunksSlow: the same as the slow decoder, in pieces of any size.
func FuzzChunksSlow(f *testing.F) {
	for i, body := range chunkedBodies {
		f.Add(body, i)
		f.Add(body+"GET / HTTP/1.1\r\n", i)
		f.Add(strings.ReplaceAll(body, "\r\n", "\n"), i)
	}
	f.Add("0\r\nHost: a\r\n\r\n", 3)
	f.Fuzz(func(t *testing.T, body string, piece int) {
		likeSlow(t, body, 1+max(0, piece)%100)
		likeSlow(t, body, len(body)+1)
	})
}

// BenchmarkChunksSmall scans 64 KiB of content in chunks of 16 bytes: framing is most of what it looks at.
func BenchmarkChunksSmall(b *testing.B) {
	body := []byte(strings.Repeat("10\r\n0123456789abcdef\r\n", 4096) + "0\r\n\r\n")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var c Chunks
		for p := body; len(p) > 0; {
			n, _, err := c.Next(p)
			if err != nil {
				b.Fatal(err)
			}
			p = p[n:]
		}
	}
}
