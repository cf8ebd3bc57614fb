package relay

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"proxymap/httpparse"
	"proxymap/relay/internal/poll"
)

// A moveRig is a direction between two connections: what from sends comes to the source, and what is moved to the sink comes
// to the peer at to.
type moveRig struct {
	t            *testing.T
	l            *loop
	d            direction
	source, sink socket
	from, to     *net.TCPConn
	came         flow // to the source
	held         buffer
}

func newMoveRig(t *testing.T) *moveRig {
	g := &moveRig{t: t, l: &loop{relay: &Relay{}, now: 1}}
	g.l.relay.admission.budget.pipes = 1
	near, from := tcpPair(t)
	g.source, g.from = socket{fd: near, readable: true, flow: &g.came}, from
	near, to := tcpPair(t)
	g.sink, g.to = socket{fd: near, writable: true}, to
	for _, p := range []*net.TCPConn{from, to} {
		mustNot(t, p.SetDeadline(time.Now().Add(3*patience)))
	}
	t.Cleanup(func() {
		g.d.drop()
		g.held.release()
		g.l.closePipes()
		if n := g.l.relay.pipes.open.Load(); n != 0 {
			t.Errorf("%d pipes are left open", n)
		}
	})
	return g
}

// move calls direction.move, and again as the poller would have it, until it comes to something else than a pause, or the
// source has given so many bytes.
func (g *moveRig) move(f *framed, size int, news poll.Events) (alive bool, why outcome) {
	g.t.Helper()
	for {
		moved, why := g.d.move(g.l, &g.source, &g.sink, f, &g.held)
		alive = alive || moved
		switch {
		case why == budgetSpent:
		case why == sinkFull:
			await(g.t, "the sink takes more", func() bool { return ready(g.sink.fd, unix.POLLOUT) })
			g.sink.note(poll.Writable)
		case why != drained, g.came.read.Load() == int64(size) && news&poll.Hup == 0:
			return alive, why
		default:
			await(g.t, "the source has more", func() bool { return ready(g.source.fd, unix.POLLIN) })
			g.source.note(poll.Readable | news)
		}
	}
}

// ready reports whether the system says so of fd now.
func ready(fd int, events int16) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, 0)
	return err == nil && n == 1
}

// received reads so many bytes at the sink's peer, and sees that none follows.
func (g *moveRig) received(size int) string {
	g.t.Helper()
	unix.Shutdown(g.sink.fd, unix.SHUT_WR)
	b, err := io.ReadAll(g.to)
	if err != nil || len(b) != size {
		g.t.Fatalf("the sink's peer got %d bytes (%.40q, %v); want %d", len(b), b, err, size)
	}
	return string(b)
}

func lengthOf(n int64) *framed { return &framed{kind: httpparse.BodyLength, left: n} }

func inChunks(decodes bool) *framed {
	return &framed{kind: httpparse.BodyChunked, chunks: httpparse.ChunksOfResponse(), decodes: decodes}
}

// What a move comes to, without and with framing, by copying and by splicing. Each row runs from a source that sends all at
// once; what is held has come before.
func TestMove(t *testing.T) {
	t.Parallel()
	much := strings.Repeat("0123456789abcdef", 20000) // five buffers, nearly
	half := len(much) / 2
	for _, row := range []struct {
		name    string
		f       *framed
		kept    string // for the sink, from before
		held    string
		sent    string
		end     func(p *net.TCPConn) error // of the source; nil: it stays open
		splices bool
		still   bool // nothing moves
		want    outcome
		passed  string
		left    string // in held; after splicing some of it, for the rest stays in the socket
	}{
		{name: "nothing has come", still: true, want: drained},
		{name: "bytes", sent: "hello", want: drained, passed: "hello"},
		{name: "bytes and FIN", sent: "hello", end: (*net.TCPConn).CloseWrite, want: sourceEnded, passed: "hello"},
		{name: "FIN", end: (*net.TCPConn).CloseWrite, still: true, want: sourceEnded},
		{name: "reset", end: resets, still: true, want: sourceReset},
		{name: "nothing but bytes that were kept", kept: "hello", want: drained, passed: "hello"},
		{name: "bytes that were kept first", kept: "hello, ", held: "wor", sent: "ld", want: drained, passed: "hello, world"},
		{name: "held bytes first", held: "hel", sent: "lo", want: drained, passed: "hello"},
		{name: "much", sent: much, end: (*net.TCPConn).CloseWrite, want: sourceEnded, passed: much},
		{name: "spliced", sent: much, splices: true, want: drained, passed: much},
		{name: "spliced to its end", sent: much, splices: true, end: (*net.TCPConn).CloseWrite, want: sourceEnded, passed: much},
		{name: "spliced after held bytes", held: "so ", sent: much, splices: true, want: drained, passed: "so " + much},
		{name: "reset while splicing", splices: true, end: resets, still: true, want: sourceReset},

		{name: "no content", f: &framed{}, held: "GET", sent: "", still: true, want: complete, left: "GET"},
		{name: "length", f: lengthOf(5), sent: "hello", want: complete, passed: "hello"},
		{name: "length, and more", f: lengthOf(5), sent: "helloGET", want: complete, passed: "hello", left: "GET"},
		{name: "length, all of it held", f: lengthOf(5), held: "helloGET", want: complete, passed: "hello", left: "GET"},
		{name: "length, held in part", f: lengthOf(5), held: "he", sent: "lloGET", want: complete, passed: "hello", left: "GET"},
		{name: "length, not yet all", f: lengthOf(6), sent: "hello", want: drained, passed: "hello"},
		{name: "length, FIN before its end", f: lengthOf(6), sent: "hello", end: (*net.TCPConn).CloseWrite, want: sourceEnded, passed: "hello"},
		{name: "length, spliced", f: lengthOf(int64(len(much))), sent: much, splices: true, want: complete, passed: much},
		{name: "length, spliced, and a rest that is copied", f: lengthOf(int64(half)), sent: much, splices: true, want: complete,
			passed: much[:half], left: much[half:]},
		{name: "chunks", f: inChunks(false), sent: "5\r\nhello\r\n0\r\n\r\n", want: complete, passed: "5\r\nhello\r\n0\r\n\r\n"},
		{name: "chunks, and more", f: inChunks(false), sent: "1\r\nx\r\n0\r\n\r\nGET", want: complete, passed: "1\r\nx\r\n0\r\n\r\n", left: "GET"},
		{name: "chunks, held in part", f: inChunks(false), held: "5\r\nhe", sent: "llo\r\n0\r\n\r\n", want: complete, passed: "5\r\nhello\r\n0\r\n\r\n"},
		{name: "chunks that are none", f: inChunks(false), sent: "hello", still: true, want: malformed},
		{name: "held chunks that are none", f: inChunks(false), held: "hello", still: true, want: malformed},
		{name: "chunks, decoded", f: inChunks(true), sent: "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\nGET", want: complete, passed: "hello", left: "GET"},
		{name: "chunks, decoded, FIN before the end", f: inChunks(true), sent: "3\r\nhel\r\n", end: (*net.TCPConn).CloseWrite, want: sourceEnded, passed: "hel"},
		{name: "until the end", f: &framed{kind: httpparse.BodyUntilClose}, sent: "hello", end: (*net.TCPConn).CloseWrite, want: sourceEnded,
			passed: "hello"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := newMoveRig(t)
			g.d.unsent.append([]byte(row.kept))
			g.held.append([]byte(row.held))
			size, news := len(row.sent), poll.Events(0)
			if row.splices {
				g.d.bulk = smallSplices
			}
			if row.end != nil {
				news = poll.Hup
			}
			done := make(chan string)
			go func() { // what is much has to be taken meanwhile
				b := make([]byte, len(row.passed))
				n, _ := io.ReadFull(g.to, b)
				done <- string(b[:n])
			}()
			go func() {
				_, _ = io.WriteString(g.from, row.sent)
				if row.end != nil {
					_ = row.end(g.from)
				}
			}()
			alive, why := g.move(row.f, size, news)
			if why != row.want || alive == row.still {
				t.Errorf("got outcome %d, alive %v; want %d, %v", why, alive, row.want, !row.still)
			}
			if got := <-done; got != row.passed {
				t.Errorf("the sink's peer got %d bytes, %.40q; want %d, %.40q", len(got), got, len(row.passed), row.passed)
			}
			g.received(0)
			left := string(g.held.bytes())
			if why != malformed && left != row.left && !(row.splices && strings.HasPrefix(row.left, left)) { // the rest has not been read
				t.Errorf("held are %.40q; want %.40q", left, row.left)
			}
			if row.splices && row.passed != "" && g.l.pipes.spliced == 0 || len(row.sent) < readSize && g.l.pipes.spliced > 0 || g.d.pipe != nil {
				t.Errorf("%d bytes were spliced, and there is the pipe %v", g.l.pipes.spliced, g.d.pipe)
			}
			if (why == malformed) != (row.f != nil && row.f.fault != nil) {
				t.Errorf("outcome %d with the framing %+v", why, row.f)
			}
		})
	}
}

func resets(p *net.TCPConn) error {
	if err := p.SetLinger(0); err != nil {
		return err
	}
	return p.Close()
}

// A sink that has been reset breaks a move, by copying, by splicing, and with what was kept for it.
func TestMoveToBrokenSink(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		set  func(g *moveRig)
	}{
		{"copying", func(*moveRig) {}},
		{"splicing", func(g *moveRig) { g.d.bulk = smallSplices }},
		{"with bytes that were kept", func(g *moveRig) { g.d.unsent.append([]byte("kept")) }},
		{"with bytes that were held", func(g *moveRig) { g.held.append([]byte("held")) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := newMoveRig(t)
			mustNot(t, resets(g.to))
			await(t, "the reset has come", func() bool { return ready(g.sink.fd, unix.POLLIN) })
			sends("hello")(t, g.from)
			awaitReadable(t, g.source.fd)
			row.set(g)
			if _, why := g.d.move(g.l, &g.source, &g.sink, nil, &g.held); why != sinkBroken {
				t.Errorf("got outcome %d; want %d", why, sinkBroken)
			}
		})
	}
}

// A sink that takes nothing has its source left alone, whose bytes are kept once, and all of them in their order when it
// takes some again.
func TestMoveToFullSink(t *testing.T) {
	t.Parallel()
	for name, bulk := range map[string]uint8{"copying": 0, "splicing": smallSplices} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newMoveRig(t)
			mustNot(t, unix.SetsockoptInt(g.sink.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 16<<10))
			mustNot(t, g.to.SetReadBuffer(16<<10))
			all := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
			go func() {
				_, _ = g.from.Write(all)
				_ = g.from.CloseWrite()
			}()
			var why outcome
			for why != sinkFull {
				awaitReadable(t, g.source.fd)
				g.source.note(poll.Readable)
				if bulk == 0 {
					g.d.bulk = 0 // reads that come back full lead to splicing
				} else if g.d.bulk > 0 {
					g.d.bulk = bulk
				}
				_, why = g.d.move(g.l, &g.source, &g.sink, nil, nil)
				if why != sinkFull && why != drained && why != budgetSpent {
					t.Fatalf("got outcome %d", why)
				}
			}
			kept, came := g.d.kept(), g.came.read.Load()
			if kept == 0 || bulk == 0 && kept > readSize || kept > pipeSize {
				t.Errorf("%d bytes are kept", kept)
			}
			g.source.note(poll.Readable)
			if alive, why := g.d.move(g.l, &g.source, &g.sink, nil, nil); why != sinkFull || alive || g.came.read.Load() != came {
				t.Errorf("once more: outcome %d, alive %v, %d bytes read; want a full sink, and nothing read", why, alive, g.came.read.Load()-came)
			}
			done := make(chan []byte)
			go func() {
				b, _ := io.ReadAll(g.to)
				done <- b
			}()
			if alive, why := g.move(nil, len(all), poll.Hup); why != sourceEnded || !alive {
				t.Errorf("at last: outcome %d, alive %v", why, alive)
			}
			unix.Shutdown(g.sink.fd, unix.SHUT_WR)
			if got := <-done; !bytes.Equal(got, all) {
				t.Errorf("%d bytes came, and are not the %d that were sent", len(got), len(all))
			}
		})
	}
}

// A move pauses when its budget is spent, however much there still is, and has told the loop what it has moved. Each read
// counts as a full one.
func TestMoveSpendsItsBudget(t *testing.T) {
	t.Parallel()
	g := newMoveRig(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK, 0) // each read gives one message
	mustNot(t, err)
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	const reads, messages = turnBudget / readSize, turnBudget/readSize + 3
	for range messages {
		_, err := unix.Write(pair[1], []byte("x"))
		mustNot(t, err)
	}
	g.source = socket{fd: pair[0], readable: true, hup: true}
	for i, want := range []struct {
		why outcome
		n   int
	}{{budgetSpent, reads}, {drained, messages - reads}} {
		g.l.moved = 0
		alive, why := g.d.move(g.l, &g.source, &g.sink, nil, nil)
		if why != want.why || !alive || g.l.moved != want.n*readSize {
			t.Errorf("move %d: outcome %d, alive %v, %d bytes; want %d, %d reads", i, why, alive, g.l.moved, want.why, want.n)
		}
	}
	g.received(messages)
}
