package httpparse

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Each kind has its name in any mix of cases, and no name but its own.
func TestKinds(t *testing.T) {
	for k := KindOther + 1; k < KindNamed; k++ {
		name := kindNames[k]
		for _, spelling := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
			if got := kindOf([]byte(spelling)); got != k {
				t.Errorf("%s: got kind %d; want %d", spelling, got, k)
			}
		}
		for i := range len(name) {
			near := []byte(name)
			for c := range 256 {
				near[i] = byte(c)
				if got := kindOf(near); got != KindOther && !strings.EqualFold(string(near), kindNames[got]) {
					t.Errorf("%q: got kind %d", near, got)
				}
			}
		}
		if kindOf([]byte(name+"x")) != KindOther || kindOf([]byte(name[1:])) != KindOther {
			t.Errorf("%s: a longer or shorter name is of a kind", name)
		}
	}
}

// EqualFold folds ASCII letters and nothing else: "@" and "`" differ by the bit of case too, K by more in Unicode.
func TestEqualFold(t *testing.T) {
	for _, row := range []struct {
		b, lower string
		want     bool
	}{
		{"", "", true}, {"Host", "host", true}, {"HOST", "host", true}, {"hos", "host", false}, {"hosts", "host", false},
		{"@", "`", false}, {"[", "{", false}, {"\x00", " ", false}, {"\u212a", "k", false}, {"\xc1", "\xe1", false},
	} {
		if got := EqualFold([]byte(row.b), row.lower); got != row.want {
			t.Errorf("%q, %q: got %v; want %v", row.b, row.lower, got, row.want)
		}
	}
}

// White space around a value is trimmed, within it stays (RFC 9112 section 5.1); the line's span has all of it.
func TestFieldSpans(t *testing.T) {
	for _, row := range []struct{ line, name, value string }{
		{"A:b", "A", "b"}, {"A: b", "A", "b"}, {"A:\tb \t", "A", "b"}, {"A: b  c ", "A", "b  c"}, {"A:", "A", ""}, {"A: \t ", "A", ""},
		{"A: \x85b\xa0", "A", "\x85b\xa0"}, // white space elsewhere, not here
		{"A::b", "A", ":b"}, {"A: b: c", "A", "b: c"}, {"!#$%&'*+-.^_`|~: x", "!#$%&'*+-.^_`|~", "x"}, {"A: \xff", "A", "\xff"},
	} {
		const first = "GET / HTTP/1.1\r\nHost: a\r\n"
		buf := []byte(first + row.line + "\r\nLast: x\r\n\r\n")
		r := newRequest()
		if err := r.Parse(buf, testLimits); err != nil {
			t.Errorf("%q: %v", row.line, err)
			continue
		}
		f := r.Fields[1]
		if string(f.Name.In(buf)) != row.name || string(f.Value.In(buf)) != row.value || f.Value.Len() != len(row.value) {
			t.Errorf("%q: got %q, %q; want %q, %q", row.line, f.Name.In(buf), f.Value.In(buf), row.name, row.value)
		}
		if line := buf[f.Name.Start:f.End]; string(line) != row.line+"\r\n" {
			t.Errorf("%q: the line is %q", row.line, line)
		}
	}
}

// Connection options that framing or routing depend on are refused in any place, part of a name is not the name.
func TestOptionFraming(t *testing.T) {
	for _, row := range []struct {
		fields string
		want   error
	}{
		{"Connection: HOST", errOptionFraming},
		{"Connection: a,\tContent-Length\t,b", errOptionFraming},
		{"Connection: a\r\nConnection: Transfer-Encoding", errOptionFraming},
		{"Connection: ,,host,,", errOptionFraming},
		{"Connection: hosts, a-host, content-lengths, x-transfer-encoding", nil},
		{"Connection: ,, ,", nil},
		{"Connection:", nil},
		{"Connection: te, trailer, x-anything", nil},
		{"X-Connection: host", nil},
	} {
		if err := parseWhole([]byte("GET / HTTP/1.1\r\nHost: a\r\n"+row.fields+"\r\n\r\n"), testLimits); err != row.want {
			t.Errorf("%q: got %v; want %v", row.fields, err, row.want)
		}
	}
}

// Errors are what the user reads: their statuses, their form, and the numbers in them.
func TestErrors(t *testing.T) {
	for _, row := range []struct {
		err    error
		status int
		text   string
	}{
		{errHeadTooLarge, 431, "431: the head is larger than the limit"},
		{errTooManyFields, 431, "431: more field lines than the limit"},
		{errTargetTooLong, 414, "414: the request-target is longer than the limit"},
		{errVersion, 505, "505: the HTTP version is neither 1.0 nor 1.1"},
		{errEmptyLines, 400, "400: more than " + strconv.Itoa(maxEmptyLines) + " empty lines before the request line"},
		{errChunkLine, 400, "400: a chunk size line is longer than " + strconv.Itoa(maxChunkLine>>10) + " KiB, or chunk extensions outweigh the data"},
		{errTrailerSize, 400, "400: the trailer section is larger than " + strconv.Itoa(maxTrailers>>10) + " KiB"},
		{ErrNeedMore, 0, "0: more bytes needed"},
	} {
		if e, ok := errors.AsType[*Error](row.err); !ok || e.Status != row.status || e.Error() != row.text {
			t.Errorf("got %v; want %s", row.err, row.text)
		}
	}
}

// Nothing of a message comes back in an error: credentials would reach the log with it (and control characters a
// terminal).
func TestErrorsQuoteNothing(t *testing.T) {
	plain := regexp.MustCompile(`^[a-zA-Z0-9 ,.:;"*/^-]+$`)
	for _, row := range badHeads {
		secret := bytes.ReplaceAll([]byte(row.head), []byte("\r\n\r\n"), []byte("\r\nProxy-Authorization: hunter2\r\n\r\n"))
		err := parseWhole(secret, testLimits)
		if err != nil && (strings.Contains(err.Error(), "hunter2") || !plain.MatchString(err.Error())) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// A refusal allocates no more than a head that is accepted: whoever floods with garbage makes no work for the collector.
func TestRefusalsDoNotAllocate(t *testing.T) {
	r := newRequest()
	for _, row := range badHeads {
		b := []byte(row.head)
		if n := testing.AllocsPerRun(10, func() { _ = r.Parse(b, testLimits) }); n != 0 {
			t.Errorf("%s: %v allocations", row.name, n)
		}
		if n := testing.AllocsPerRun(10, func() { _ = progress(b, 1) }); n != 0 {
			t.Errorf("%s, byte by byte: %v allocations", row.name, n)
		}
	}
}

// A caller's names are told apart in any case, beside those of HTTP/1's own, by requests and responses that have them.
func TestNames(t *testing.T) {
	names := NewNames("X-Proxymap", "ORIGIN", "referer", strings.Repeat("a", 63))
	head := "GET / HTTP/1.1\r\nHost: a\r\norigin: 1\r\nX-Proxymaq: 1\r\nx-proxyMAP: 1\r\nReferer: 1\r\nTrailer: 1\r\n" +
		"Upgrade: 1\r\n" + strings.Repeat("A", 63) + ": 1\r\n" + strings.Repeat("a", 64) + ": 1\r\n\r\n"
	for _, row := range []struct {
		names *Names
		want  []Kind
	}{
		{nil, []Kind{KindHost, 0, 0, 0, 0, KindTrailer, KindUpgrade, 0, 0}},
		{names, []Kind{KindHost, KindNamed + 1, 0, KindNamed, KindNamed + 2, KindTrailer, KindUpgrade, KindNamed + 3, 0}},
	} {
		r := newRequest()
		r.Names = row.names
		if err := r.Parse([]byte(head), testLimits); err != nil {
			t.Fatal(err)
		}
		var got []Kind
		for _, f := range r.Fields {
			got = append(got, f.Kind)
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("kinds %v; want %v", got, row.want)
		}
	}
}

func TestNamesThatCannotBe(t *testing.T) {
	for _, name := range []string{"", "a b", "Host", "proxy-authorization", strings.Repeat("a", 64)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q is taken", name)
				}
			}()
			NewNames(name)
		}()
	}
}
