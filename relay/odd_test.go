package relay

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// An oddResponse passes, put right where an RFC says so. What is doubtful about where it ends ends both connections.
type oddResponse struct {
	name, response string
	want           string // that the client gets; empty: the response as it came
	ends           bool   // both connections, behind it
	kinds          string // that are counted
	request        string // empty: a GET
	late           bool   // what is odd may come when the head is out: the client is told by the end alone then
}

const (
	okLine  = "HTTP/1.1 200 OK\r\n"
	closes  = "Connection: close\r\n"
	keeps   = "Connection: keep-alive\r\n"
	head11  = "HEAD http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n"
	get10   = "GET http://example.com/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
	head10  = "HEAD http://example.com/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
	chunked = "Transfer-Encoding: chunked\r\n"
)

var oddResponses = []oddResponse{
	// Field lines: RFC 9112 sections 2.2, 5.1 and 5.2.
	{name: "space before a colon", response: okLine + "A : b\r\nContent-Length: 2\r\n\r\nok", want: okLine + "A: b\r\nContent-Length: 2\r\n\r\nok", kinds: "space-before-colon"},
	{name: "space before a length's colon", response: okLine + "Content-Length : 2\r\n\r\nok", want: okLine + "Content-Length: 2\r\n" + closes + "\r\nok", ends: true, kinds: "framing-field space-before-colon"},
	{name: "tab before an encoding's colon", response: okLine + "Transfer-Encoding\t: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", want: okLine + chunked + closes + "\r\n2\r\nok\r\n0\r\n\r\n", ends: true, kinds: "framing-field space-before-colon"},
	{name: "space before Connection's colon", response: okLine + "Connection : close\r\nContent-Length: 2\r\n\r\nok", want: okLine + closes + "Content-Length: 2\r\n\r\nok", ends: true, kinds: "space-before-colon"},
	{name: "no colon", response: okLine + "Server\r\nContent-Length: 2\r\n\r\nok", want: ok, kinds: "no-colon"},
	{name: "empty name", response: okLine + ": 5\r\nContent-Length: 2\r\n\r\nok", want: ok, kinds: "no-name"},
	{name: "space in a name", response: okLine + "A b: c\r\nContent-Length: 2\r\n\r\nok", kinds: "field-name"},
	{name: "name that some read as a length", response: okLine + "Content-Length\xa0: 3\r\nContent-Length: 2\r\n\r\nok",
		want: okLine + "Content-Length\xa0: 3\r\nContent-Length: 2\r\n" + closes + "\r\nok", ends: true, kinds: "field-name framing-field"},
	{name: "control characters in a value", response: okLine + "A: \x01\x1b[1m\x7f\r\nContent-Length: 2\r\n\r\nok", kinds: "control-character"},
	{name: "control character in the reason", response: "HTTP/1.1 200 O\x08K\r\nContent-Length: 2\r\n\r\nok", kinds: "control-character"},
	{name: "folded line", response: okLine + "A: b\r\n\tc\r\nContent-Length: 2\r\n\r\nok", want: okLine + "A: b c\r\nContent-Length: 2\r\n\r\nok", kinds: "folded-line"},
	{name: "folded first line", response: okLine + " A: b\r\nContent-Length: 2\r\n\r\nok", want: ok, kinds: "folded-line"},
	{name: "folded first line that could be a length", response: okLine + " Content-Length: 5\r\nContent-Length: 2\r\n\r\nok", want: okLine + "Content-Length: 2\r\n" + closes + "\r\nok", ends: true, kinds: "folded-line framing-field"},
	{name: "folded first line that could be an encoding", response: okLine + "\tA: b\r\n Transfer-Encoding: chunked\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok",
		want: okLine + "Content-Length: 2\r\n" + closes + "\r\nok", ends: true, kinds: "folded-line framing-field"},
	{name: "folded coding", response: okLine + "Transfer-Encoding: gzip,\r\n chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		want: okLine + "Transfer-Encoding: gzip, chunked\r\n" + closes + "\r\n2\r\nok\r\n0\r\n\r\n", ends: true, kinds: "folded-line framing-field transfer-coding"},
	{name: "HEAD with a length that is folded", response: okLine + "Content-Length: 1\r\n 0\r\n\r\n", want: okLine + "Content-Length: 1 0\r\n" + closes + "\r\n", ends: true, kinds: "folded-line framing-field length", request: head11},
	{name: "folded length", response: okLine + "Content-Length:\r\n 2\r\n\r\nok", want: okLine + "Content-Length: 2\r\n" + closes + "\r\nok", ends: true, kinds: "folded-line framing-field"},
	{name: "LF alone", response: "HTTP/1.1 200 OK\nA: b\nContent-Length: 2\n\nok", want: okLine + "A: b\r\nContent-Length: 2\r\n\r\nok", kinds: "bare-lf"},
	{name: "LF alone among CRLF", response: okLine + "A: b\nContent-Length: 2\r\n\r\nok", want: okLine + "A: b\r\nContent-Length: 2\r\n\r\nok", kinds: "bare-lf"},
	// Framing: RFC 9112 sections 6.1 and 6.3.
	{name: "equal lengths", response: okLine + "Content-Length: 2\r\nA: b\r\nContent-Length: 2\r\n\r\nok", want: okLine + "Content-Length: 2\r\nA: b\r\n\r\nok", kinds: "repeated-length"},
	{name: "list of equal lengths", response: okLine + "Content-Length: 2, 2\r\n\r\nok", want: ok, kinds: "length-list"},
	{name: "length beside chunked", response: okLine + "Content-Length: 2\r\n" + chunked + "\r\n2\r\nok\r\n0\r\n\r\n", want: okLine + chunked + closes + "\r\n2\r\nok\r\n0\r\n\r\n", ends: true, kinds: "length-and-coding"},
	{name: "lengths that differ beside chunked", response: okLine + chunked + "Content-Length: 2\r\nContent-Length: x\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		want: okLine + chunked + closes + "\r\n2\r\nok\r\n0\r\n\r\n", ends: true, kinds: "length length-and-coding repeated-length"},
	{name: "chunked twice", response: okLine + chunked + "A: b\r\n" + chunked + "\r\n2\r\nok\r\n0\r\n\r\n", want: okLine + chunked + "A: b\r\n\r\n2\r\nok\r\n0\r\n\r\n", kinds: "chunked-twice"},
	{name: "chunked twice beside a length that is none", response: okLine + "Content-Length: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		want: okLine + chunked + closes + "\r\n2\r\nok\r\n0\r\n\r\n", ends: true, kinds: "chunked-twice length length-and-coding"},
	{name: "chunked twice in a list", response: okLine + "Transfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", want: okLine + chunked + "\r\n2\r\nok\r\n0\r\n\r\n", kinds: "chunked-twice"},
	{name: "gzip and chunked twice", response: okLine + "Transfer-Encoding: gzip, chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", want: okLine + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", kinds: "chunked-twice transfer-coding"},
	{name: "gzip and chunked twice, on lines", response: okLine + "Transfer-Encoding: gzip\r\n" + chunked + "A: b\r\n" + chunked + "\r\n2\r\nok\r\n0\r\n\r\n",
		want: okLine + "Transfer-Encoding: gzip, chunked\r\nA: b\r\n\r\n2\r\nok\r\n0\r\n\r\n", kinds: "chunked-twice transfer-coding"},
	{name: "identity, gzip and chunked", response: okLine + "Transfer-Encoding: identity, gzip,\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		want: okLine + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", kinds: "identity transfer-coding"},
	{name: "chunked, gzip and chunked", response: okLine + "Transfer-Encoding: chunked, gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		want: okLine + "Transfer-Encoding: chunked, gzip, chunked\r\n" + closes + "\r\n2\r\nok\r\n0\r\n\r\n", ends: true, kinds: "chunked-not-last transfer-coding"},
	{name: "chunked in HTTP/1.0", response: "HTTP/1.0 200 OK\r\n" + chunked + "Connection: keep-alive\r\n\r\n2\r\nok\r\n0\r\n\r\n", want: okLine + chunked + closes + "\r\n2\r\nok\r\n0\r\n\r\n", ends: true, kinds: "coding-in-http-1.0"},
	{name: "chunked in HTTP/1.0, to HTTP/1.0", response: "HTTP/1.0 200 OK\r\n" + chunked + "\r\n2\r\nok\r\n0\r\n\r\n", want: "HTTP/1.0 200 OK\r\n" + closes + "\r\nok", ends: true, kinds: "coding-in-http-1.0", request: get10},
	{name: "gzip and chunked in HTTP/1.0", response: "HTTP/1.0 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		want: okLine + "Transfer-Encoding: gzip, chunked\r\n" + closes + "\r\n2\r\nok\r\n0\r\n\r\n", ends: true, kinds: "coding-in-http-1.0 transfer-coding"},
	{name: "identity", response: okLine + "Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok", want: ok, kinds: "identity"},
	{name: "gzip and chunked", response: okLine + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", kinds: "transfer-coding"},
	{name: "HEAD with chunked, to HTTP/1.0", response: okLine + chunked + "Trailer: A\r\n\r\n", want: okLine + keeps + "\r\n", request: head10},
	{name: "HEAD with gzip and chunked, to HTTP/1.0", response: okLine + "A: b\r\nTransfer-Encoding: gzip, chunked\r\nConnection: keep-alive\r\n\r\n", want: okLine + "A: b\r\n" + keeps + "\r\n", request: head10, kinds: "transfer-coding"},
	{name: "HEAD with chunked in HTTP/1.0, to HTTP/1.0", response: "HTTP/1.0 200 OK\r\n" + chunked + "Connection: keep-alive\r\n\r\n", want: "HTTP/1.0 200 OK\r\n" + closes + "\r\n", ends: true, request: head10, kinds: "coding-in-http-1.0"},
	{name: "304 with chunked, to HTTP/1.0", response: "HTTP/1.1 304 Not Modified\r\n" + chunked + "\r\n", want: "HTTP/1.1 304 Not Modified\r\n" + keeps + "\r\n", request: get10},
	{name: "Connection names a length", response: okLine + "Connection: Content-Length\r\nContent-Length: 2\r\n\r\nok", want: okLine + "Content-Length: 2\r\n" + closes + "\r\nok", ends: true, kinds: "framing-option"},
	// What has no content: RFC 9110 section 8.6, RFC 9112 section 6.3.
	{name: "204 with a length", response: "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\nA: b\r\n\r\n", want: "HTTP/1.1 204 No Content\r\nA: b\r\n" + closes + "\r\n", ends: true, kinds: "content-of-none"},
	{name: "204 with chunked", response: "HTTP/1.1 204 No Content\r\n" + chunked + "\r\n", want: "HTTP/1.1 204 No Content\r\n" + closes + "\r\n", ends: true, kinds: "content-of-none"},
	{name: "204 with content", response: "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", want: "HTTP/1.1 204 No Content\r\n" + closes + "\r\n", ends: true, kinds: "content-of-none"},
	{name: "204 with a length of 0", response: "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"},
	{name: "304 with a length", response: "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n"},
	{name: "304 with chunked", response: "HTTP/1.1 304 Not Modified\r\n" + chunked + "\r\n"},
	{name: "304 with lengths that differ", response: "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
		want: "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\nContent-Length: 3\r\n" + closes + "\r\n", ends: true, kinds: "length repeated-length"},
	{name: "HEAD with a length", response: okLine + "Content-Length: 2\r\n\r\n", request: head11},
	{name: "HEAD with equal lengths", response: okLine + "Content-Length: 2, 2\r\n\r\n", want: okLine + "Content-Length: 2\r\n\r\n", request: head11, kinds: "length-list"},
	{name: "HEAD with both framings", response: okLine + "Content-Length: 2\r\n" + chunked + "\r\n", want: okLine + chunked + closes + "\r\n", ends: true, request: head11, kinds: "length-and-coding"},
	{name: "100 with a length", response: "HTTP/1.1 100 Continue\r\nContent-Length: 2\r\nA: b\r\n\r\n" + ok, want: "HTTP/1.1 100 Continue\r\nA: b\r\n\r\n" + okLine + "Content-Length: 2\r\n" + closes + "\r\nok", ends: true, kinds: "content-of-none"},
	{name: "103 with chunked", response: "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n" + chunked + "\r\n" + ok,
		want: "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + okLine + "Content-Length: 2\r\n" + closes + "\r\nok", ends: true, kinds: "content-of-none"},
	{name: "two interim responses with a length", response: strings.Repeat("HTTP/1.1 102 Processing\r\nContent-Length: 2\r\n\r\n", 2) + ok,
		want: strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 2) + okLine + "Content-Length: 2\r\n" + closes + "\r\nok", ends: true, kinds: "content-of-none"},
	{name: "103 with a folded line", response: "HTTP/1.1 103 Early Hints\r\nA: b\r\n c\r\n\r\n" + ok, want: "HTTP/1.1 103 Early Hints\r\nA: b c\r\n\r\n" + ok, kinds: "folded-line"},
	{name: "100 with a length, to HTTP/1.0", response: "HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\n" + ok, want: okLine + "Content-Length: 2\r\n" + closes + "\r\nok", ends: true, kinds: "content-of-none", request: get10},
	// Chunks, which pass as they came: RFC 9112 section 7.1. What is doubtful about them the head tells, if it is not out.
	{name: "white space behind chunk sizes", response: okLine + chunked + "\r\n2 \t\r\nok\r\n0  \r\n\r\n", kinds: "space-behind-chunk-size"},
	{name: "LF alone in chunks", response: okLine + chunked + "\r\n2\nok\n0\nA: b\n\n", kinds: "bare-lf-in-chunks"},
	{name: "LF alone behind an extension", response: okLine + chunked + "\r\n2;a\nok\r\n0\r\n\r\n", ends: true, kinds: "bare-lf-in-chunks bare-lf-in-extension",
		want: okLine + chunked + closes + "\r\n2;a\nok\r\n0\r\n\r\n", late: true},
	{name: "control character in an extension", response: okLine + chunked + "\r\n2;\x01\r\nok\r\n0\r\n\r\n", kinds: "control-character"},
	{name: "space before a trailer's colon", response: okLine + chunked + "\r\n2\r\nok\r\n0\r\nA : b\r\n\r\n", ends: true, kinds: "trailer",
		want: okLine + chunked + closes + "\r\n2\r\nok\r\n0\r\nA : b\r\n\r\n", late: true},
	{name: "length in a trailer", response: okLine + chunked + "\r\n2\r\nok\r\n0\r\nContent-Length: 2\r\n\r\n", ends: true, kinds: "trailer",
		want: okLine + chunked + closes + "\r\n2\r\nok\r\n0\r\nContent-Length: 2\r\n\r\n", late: true},
	{name: "odd chunks, to HTTP/1.0", response: okLine + chunked + "\r\n2 \nok\n0\nA : b\n\n", want: okLine + "\r\nok", ends: true, kinds: "bare-lf-in-chunks space-behind-chunk-size trailer", request: get10},
	// Size.
	{name: "head of 256 KiB", response: padded(256 << 10)},
}

// padded is a response with a head of n bytes.
func padded(n int) string {
	const end = "\r\nContent-Length: 2\r\n\r\n"
	return okLine + "A: " + strings.Repeat("x", n-len(okLine+"A: "+end)) + end + "ok"
}

// The response comes in one piece, and byte by byte; what the client gets, what becomes of both connections and what is
// counted is the same.
func TestOddResponses(t *testing.T) {
	for _, row := range oddResponses {
		for _, piece := range []int{len(row.response), 1, 7} {
			if piece < 8 && len(row.response) > 1000 {
				continue
			}
			t.Run(fmt.Sprintf("%s in pieces of %d", row.name, piece), func(t *testing.T) {
				t.Parallel()
				row.run(t, newRig(t), piece)
			})
		}
	}
}

func (row *oddResponse) run(t *testing.T, g *rig, piece int) {
	request, want := row.request, row.want
	if request == "" {
		request = get
	}
	if want == "" {
		want = row.response
	}
	c, u := g.asked(request)
	for rest := row.response; rest != ""; rest = rest[min(piece, len(rest)):] {
		_, err := io.WriteString(u.conn, rest[:min(piece, len(rest))])
		if err != nil && !row.ends { // else the response has ended already, and both connections with it
			t.Fatal(err)
		}
	}
	head := c.head()
	if row.late && piece < len(row.response) && !strings.Contains(head, closes) {
		want = strings.Replace(want, closes, "", 1)
	}
	if !strings.HasPrefix(want, head) {
		t.Fatalf("got the head %q; want %q", head, want)
	}
	c.expect(want[len(head):])
	if row.ends {
		c.expectEnd()
		u.expectClosed()
	} else {
		c.send(get)
		u.head() // over the same connection
		u.send(ok)
		c.expect(ok)
	}
	counted := map[string]int64{}
	for _, kind := range strings.Fields(row.kinds) {
		counted[kind] = 1
	}
	if got := g.relay.Stats().OddResponses; !maps.Equal(got, counted) {
		t.Errorf("counted %v; want %v", got, counted)
	}
}

// A client of HTTP/1.0 that would get content in a transfer coding which is not its to know gets an error instead.
func TestCodingsToHTTP10(t *testing.T) {
	for _, codings := range []string{"gzip, chunked", "gzip, chunked, chunked", "gzip", "chunked, gzip", "chunked, gzip, chunked"} {
		for _, request := range []string{get10, "GET http://example.com/ HTTP/1.0\r\n\r\n", "CONNECT example.com:443 HTTP/1.0\r\n\r\n"} {
			g := newRig(t)
			c, u := g.asked(request)
			u.send("HTTP/1.1 503 No\r\nTransfer-Encoding: " + codings + "\r\n\r\n2\r\nok\r\n0\r\n\r\n")
			c.expectAnswer(502, "upstream-bad-response", "HTTP/1.0 does not know")
			c.expectEnd()
			u.expectClosed()
		}
	}
}

// The largest head passes however it comes, a larger one does not.
func TestLargeResponseHeads(t *testing.T) {
	for _, over := range []int{0, 1} {
		g := newRig(t)
		c, u := g.asked(get)
		response := padded(256<<10 + over)
		for rest := response; rest != ""; rest = rest[min(10_000, len(rest)):] {
			u.send(rest[:min(10_000, len(rest))])
			time.Sleep(time.Millisecond) // pieces that come apart; that they do matters for nothing
		}
		if over == 0 {
			c.expect(response)
			continue
		}
		c.expectAnswer(502, "upstream-bad-response", "larger than the limit")
		c.expectEnd()
		u.expectClosed()
	}
}

// Each kind is logged once a minute for each port, at debug level, with who sent it and nothing of what he did.
func TestOddResponsesAreLogged(t *testing.T) {
	log := &lines{}
	g := newRig(t, func(cfg *Config) {
		cfg.Mappings = append(cfg.Mappings, cfg.Mappings[0])
		cfg.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	ask := func(port int, response string) {
		t.Helper()
		c := g.client(port)
		c.send(get)
		u := g.upstream()
		u.head()
		u.send(response)
		c.head()
	}
	logged := func(port int, kind string) int {
		return len(log.with("level=DEBUG", `msg="odd response"`, fmt.Sprintf("port=%d", g.relay.Ports()[port].Port()),
			"from="+g.provider.Addr().String(), "kind="+kind+" "))
	}
	const spaced, doubled = okLine + "X-Secret : hunter2\r\nContent-Length: 0\r\n\r\n", okLine + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n"
	for range 3 {
		ask(0, spaced)
		ask(0, doubled)
	}
	ask(1, spaced)
	for _, row := range []struct {
		port, want int
		kind       string
	}{{0, 1, "space-before-colon"}, {0, 1, "repeated-length"}, {1, 1, "space-before-colon"}, {1, 0, "repeated-length"}} {
		if n := logged(row.port, row.kind); n != row.want {
			t.Errorf("port %d, %s: logged %d times; want %d", row.port, row.kind, n, row.want)
		}
	}
	last := &g.relay.ports()[0].odd.Load()[1] // space-before-colon
	last.Store(time.Now().Add(-oddLogPause - time.Second).UnixNano())
	ask(0, spaced)
	if n := logged(0, "space-before-colon"); n != 2 {
		t.Errorf("a minute later: logged %d times; want 2", n)
	}
	if found := log.with("hunter2"); found != nil {
		t.Errorf("the log holds what was sent: %q", found)
	}
	if n := g.relay.Stats().OddResponses["space-before-colon"]; n != 5 {
		t.Errorf("counted %d; want all 5", n)
	}
	g.relay.ResetStats()
	if n := g.relay.Stats().OddResponses; len(n) != 0 {
		t.Errorf("counted %v since the reset; want nothing", n)
	}
}

// RFC 9112 section 2.2: a CONNECT may end its lines with LF alone. Upstream they end with CRLF, and what stands behind the
// head is the tunnel's.
func TestConnectWithLFAlone(t *testing.T) {
	for _, request := range []string{
		"CONNECT example.com:443 HTTP/1.1\nHost: example.com:443\nA:  b\n\n",
		"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\nA:  b\r\n\n",
		"\r\nCONNECT example.com:443 HTTP/1.1\nHost: example.com:443\r\nA:  b\n\r\n",
	} {
		for _, piece := range []int{len(request) + 5, len(request), 1} {
			g := newRig(t)
			c := g.client(0)
			for rest := request + "\n\nabc"; rest != ""; rest = rest[min(piece, len(rest)):] {
				c.send(rest[:min(piece, len(rest))])
			}
			u := g.upstream()
			u.expect("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nA:  b\r\n" + credentialsOf(1) + "\r\n")
			u.send("HTTP/1.1 200 OK\r\n\r\n")
			c.expect("HTTP/1.1 200 OK\r\n\r\n")
			u.expect("\n\nabc")
		}
	}
}

// A head with LF alone that CRs make larger than the limit is refused; any other request with LF alone is, as ever.
func TestLFAloneIsRefused(t *testing.T) {
	g := newRig(t, func(cfg *Config) { cfg.Limits.HeadBytes, cfg.Limits.TargetBytes = 1024, 512 })
	c := g.client(0)
	c.send("CONNECT example.com:443 HTTP/1.1\nHost: example.com:443\nA: " + strings.Repeat("x", 1024-60) + "\n\n")
	c.expectAnswer(431, "head-too-large", "larger than the limit")
	c.expectEnd()
	c = g.client(0)
	c.send("GET http://example.com/ HTTP/1.1\nHost: example.com\n\n")
	c.expectAnswer(400, "bad-request", "LF alone")
	c.expectEnd()
}

// What comes from the target itself is put right too, beside what a proxy takes off.
func TestOddResponsesOfTargets(t *testing.T) {
	g := newRig(t, knows("target.example"), bypass)
	for _, row := range []oddResponse{
		{response: "HTTP/1.1 200 OK\nA : b\n c\nContent-Length: 2\n" + chunked + "Keep-Alive: 5\n\n2\r\nok\r\n0\r\n\r\n",
			want: okLine + "A: b c\r\n" + chunked + closes + "\r\n2\r\nok\r\n0\r\n\r\n", ends: true},
		{response: okLine + "Connection: X-Hop\r\nX-Hop : 1\r\nServer\r\nContent-Length: 2, 2\r\n\r\nok", want: ok},
		{response: "HTTP/1.1 204 No Content\r\n" + chunked + "\r\n", want: "HTTP/1.1 204 No Content\r\n" + closes + "\r\n", ends: true},
	} {
		c := g.client(0)
		request := fmt.Sprintf("GET http://target.example:%d/ HTTP/1.1\r\nHost: target.example:%[1]d\r\n\r\n", g.port())
		c.send(request)
		u := g.upstream()
		u.head()
		u.send(row.response)
		c.expect(row.want)
		if row.ends {
			c.expectEnd()
			u.expectClosed()
			continue
		}
		c.send(request)
		u.head()
	}
}

// Heads that begin a tunnel are put right as well, and what stands behind them is the tunnel's.
func TestOddGrants(t *testing.T) {
	const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
	for _, row := range []struct{ name, request, response, want string }{
		{"CONNECT, space before a colon", connect, okLine + "A : b\r\nServer\r\n\r\nhello", okLine + "A: b\r\n\r\nhello"},
		{"CONNECT, LF alone", connect, "HTTP/1.1 200 OK\nA: b\n\n\nhello", okLine + "A: b\r\n\r\n\nhello"},
		{"CONNECT, behind an odd interim response", connect, "HTTP/1.1 102 Processing\r\nContent-Length: 5\r\n\r\n" + okLine + "\r\nhello",
			"HTTP/1.1 102 Processing\r\n\r\n" + okLine + "\r\nhello"},
		{"101 with a length", strings.TrimSuffix(get, "\r\n") + upgrade + "\r\n", "HTTP/1.1 101 Switching Protocols\r\nContent-Length: 5\r\n" + upgrade + chunked + "\r\nhello",
			"HTTP/1.1 101 Switching Protocols\r\n" + upgrade + "\r\nhello"},
		{"SOCKS5", "\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x01\xbb", "HTTP/1.1 102 Processing\nContent-Length: 5\n\n" + okLine + "A : b\r\n\r\nhello",
			"\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00hello"},
	} {
		for _, piece := range []int{len(row.response), 1} {
			t.Run(fmt.Sprintf("%s in pieces of %d", row.name, piece), func(t *testing.T) {
				t.Parallel()
				g := newRig(t)
				c, u := g.asked(row.request)
				for rest := row.response; rest != ""; rest = rest[min(piece, len(rest)):] {
					u.send(rest[:min(piece, len(rest))])
				}
				c.expect(row.want)
				c.send("x")
				u.expect("x")
			})
		}
	}
}

// A head that comes byte by byte is looked at where its first line ends, where it ends itself, and at the limit: a slow
// provider costs linear work, and waits for nothing.
func TestIncompleteHeadsAreLookedAtSeldom(t *testing.T) {
	for _, line := range []string{"\r\n", "\n"} {
		head := strings.ReplaceAll("HTTP/1.1 200 OK\nA: b\nC: d\n e\n\n", "\n", line)
		for limit, last := range map[int]int{1000: len(head), 20: 20} {
			var looks []int
			for n := 2; n <= last; n++ {
				if worthALook([]byte(head[:n]), 1, limit) && n > 2 { // of two bytes the second is as many as came before
					looks = append(looks, n)
				}
			}
			if want := []int{len("HTTP/1.1 200 OK" + line), last}; !slices.Equal(looks, want) {
				t.Errorf("line ends %q, limit %d: looked at after %v bytes; want %v", line, limit, looks, want)
			}
		}
	}
	// What comes in large pieces is looked at when there is twice as much as before.
	if !worthALook(make([]byte, 200), 100, 1000) || worthALook(make([]byte, 199), 99, 1000) {
		t.Error("twice as many bytes are not looked at, or fewer are")
	}
}
