package lookup

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

// A socket to a name server that is silent is closed with its look-up.
func TestQueryEndsWithItsLookUp(t *testing.T) {
	ctx, cancel := context.WithCancel(asking(t, &query{pair: &pair{}}))
	defer cancel()
	c, err := New().dial(ctx, "udp", nameServerOf(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading ends with %v; want %v", err, net.ErrClosed)
	}
}

func asking(t *testing.T, q *query) context.Context {
	return context.WithValue(t.Context(), queryKey{}, q)
}

// nameServerOf is a name server that says nothing.
func nameServerOf(t *testing.T) (addr string) {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().String()
}

// A question that times out has its name server asked after the others; one that ends otherwise does not.
func TestTimeOutIsNoted(t *testing.T) {
	for _, ends := range []string{"in time", "by the look-up's end", "in time, the other question answered"} {
		r := New()
		first, second := nameServerOf(t), nameServerOf(t)
		q := &query{pair: &pair{}}
		ctx, cancel := context.WithCancel(asking(t, q))
		defer cancel()
		if ends == "in time, the other question answered" {
			q.pair.note(first)
		}
		for _, addr := range []string{first, second} {
			c, err := r.dial(ctx, "udp", addr)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.RemoteAddr().String(); got != addr {
				t.Fatalf("%s is asked; want %s", got, addr)
			}
			if addr == second {
				c.Close()
				break
			}
			if ends != "by the look-up's end" {
				_ = c.SetDeadline(time.Unix(1, 0))
			} else {
				c.Close()
			}
			if _, err := c.Read(make([]byte, 512)); err == nil {
				t.Fatal("a silent name server has answered")
			}
		}
		want := first
		if ends == "in time" {
			want = second
		}
		c, err := r.dial(asking(t, &query{pair: &pair{}}), "udp", first)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if got := c.RemoteAddr().String(); got != want {
			t.Errorf("ended %s: %s is asked first afterwards; want %s, the first is %s", ends, got, want, first)
		}
	}
}

// The names of a search list are counted, each once, however often it is asked for.
func TestNamesAreCounted(t *testing.T) {
	header := string(make([]byte, headerSize))
	question := func(name string) string { return header + name + "\x00\x00\x01\x00\x01" }
	a, b := question("\x01a\x04test"), question("\x01a\x04test\x04corp")
	for _, row := range []struct {
		writes []string
		want   int
	}{
		{nil, 0},
		{[]string{a}, 1},
		{[]string{a, a}, 1},
		{[]string{a, b}, 2},
		{[]string{a, a, b, b}, 2},
		{[]string{"short"}, 0},
	} {
		var q query
		for _, w := range row.writes {
			q.noteQuestion([]byte(w))
		}
		if got := q.count(); got != row.want {
			t.Errorf("%q: %d names; want %d", row.writes, got, row.want)
		}
	}
}

// That a name does not exist is known where a name server says so (NXDOMAIN) of all that a search list makes of it: not
// where it says that there is nothing of one IP version, nor where it fails.
func TestAbsence(t *testing.T) {
	for _, row := range []struct {
		steps string // a: the name is asked for, b: another; 0, 2, 3: an answer has that response code
		want  bool
	}{
		{"", false},
		{"a", false},
		{"a3", true},
		{"a33", true},
		{"a0", false},
		{"a2", false},
		{"a2a3", true},
		{"a3b", false},
		{"a3b3", true},
		{"a33b", false},
		{"a3b0", false},
		{"a0b3", false},
		{"a2b3", false},
	} {
		var q query
		for _, step := range []byte(row.steps) {
			message := make([]byte, headerSize)
			if step >= 'a' {
				q.noteQuestion(append(message, 1, step, 0))
				continue
			}
			message[3] = 0x80 | step - '0'
			q.noteAnswer(message)
		}
		if got := q.allAbsent(); got != row.want {
			t.Errorf("%q: %v; want %v", row.steps, got, row.want)
		}
	}
}
