package poll

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A testLoop is a loop whose parts are the test's.
type testLoop struct {
	start    time.Time
	event    func(Token, Events)
	turn     func() bool
	deadline int64
}

func (l *testLoop) Tick() int64              { return int64(time.Since(l.start)) + 1 }
func (l *testLoop) Event(t Token, ev Events) { l.event(t, ev) }
func (l *testLoop) Turn() bool               { return l.turn() }
func (l *testLoop) Deadline() int64          { return l.deadline }
func (l *testLoop) Waits()                   {}
func (l *testLoop) Rests()                   {}

// run runs the loop until it ends, and fails the test when that takes too long.
func (l *testLoop) run(t *testing.T, p *Poller) {
	t.Helper()
	l.start = time.Now()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(l, false) }()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the loop does not end")
	}
}

func newPoller(t *testing.T) *Poller {
	t.Helper()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// pair is two connected sockets.
func pair(t *testing.T) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
	}
	return fds[0], fds[1]
}

func TestTokenHalves(t *testing.T) {
	for _, row := range [][2]uint32{{1, 0}, {1, 1<<32 - 1}, {1<<32 - 1, 0}, {7, 1 << 31}} {
		if token := NewToken(row[0], row[1]); token.Generation() != row[0] || token.Low() != row[1] {
			t.Errorf("%x: generation %d, low %d; want %v", uint64(token), token.Generation(), token.Low(), row)
		}
	}
}

// A watched descriptor tells what there is from the beginning, what comes, and the end, each under its whole token.
func TestEvents(t *testing.T) {
	p, token := newPoller(t), NewToken(1<<31+1, 1<<31|5)
	near, far := pair(t)
	if err := p.Add(near, token); err != nil {
		t.Fatal(err)
	}
	var seen Events
	l := testLoop{turn: func() bool { return seen&Hup != 0 }}
	l.event = func(got Token, ev Events) {
		if got != token {
			t.Errorf("token %x; want %x", uint64(got), uint64(token))
		}
		switch seen |= ev; {
		case ev&Hup != 0:
			l.deadline = 1
		case ev&Readable != 0:
			var b [10]byte
			if n, err := unix.Read(near, b[:]); n != 5 {
				t.Errorf("%d bytes, %v; want 5", n, err)
			}
			if err := unix.Shutdown(far, unix.SHUT_WR); err != nil {
				t.Error(err)
			}
		case ev&Writable != 0:
			if _, err := unix.Write(far, []byte("hello")); err != nil {
				t.Error(err)
			}
		}
	}
	l.run(t, p)
	if want := Readable | Writable | Hup; seen != want {
		t.Errorf("events %b; want %b", seen, want)
	}
}

// A wake from another goroutine brings a turn, also to a loop without any deadline, and each of several is followed by one.
func TestWake(t *testing.T) {
	p := newPoller(t)
	woken, turns := make(chan bool, 1), 0
	l := testLoop{turn: func() bool {
		select {
		case <-woken:
			turns++
		default:
		}
		return turns == 100
	}}
	go func() {
		for range 100 {
			woken <- true
			p.Wake()
		}
	}()
	l.run(t, p)
}

// A turn comes when the deadline is due, and not before.
func TestDeadline(t *testing.T) {
	p := newPoller(t)
	due := int64(30 * time.Millisecond) // longer than a raw wait
	l := testLoop{deadline: due}
	l.turn = func() bool { return l.Tick() >= due }
	l.run(t, p)
	if now := l.Tick(); now < due {
		t.Errorf("the loop has ended %v before its deadline", time.Duration(due-now))
	}
}

// A deadline that has passed means a turn at once, after the events that are there.
func TestDeadlineThatHasPassed(t *testing.T) {
	p := newPoller(t)
	turns := 0
	l := testLoop{deadline: 1, turn: func() bool { turns++; return turns == 1000 }}
	l.run(t, p)
}

// A listener tells of a client for as long as that is not accepted, and after Remove no more.
func TestListenerIsLevelTriggered(t *testing.T) {
	p := newPoller(t)
	near, far := pair(t)
	if _, err := unix.Write(far, []byte("client")); err != nil {
		t.Fatal(err)
	}
	if err := p.AddListener(near, NewToken(1, 0)); err != nil {
		t.Fatal(err)
	}
	events, turns := 0, 0
	l := testLoop{}
	l.event = func(Token, Events) {
		if events++; events == 3 {
			if err := p.Remove(near); err != nil {
				t.Error(err)
			}
			l.deadline = 1
		}
	}
	l.turn = func() bool { turns++; return events >= 3 && turns > 10 }
	l.run(t, p)
	if events != 3 {
		t.Errorf("%d events; want 3, none after Remove", events)
	}
}

// Wake does no harm when the poller is closed: who sends work to a loop does not know that it has ended.
func TestWakeAfterClose(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	other, _ := pair(t) // takes the next descriptor numbers
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	a, b := pair(t) // and these the poller's
	p.Wake()
	for _, fd := range []int{other, a, b} {
		if n, err := unix.Read(fd, make([]byte, 1)); err != unix.EAGAIN {
			t.Errorf("descriptor %d: %d, %v; want nothing written to it", fd, n, err)
		}
	}
}
