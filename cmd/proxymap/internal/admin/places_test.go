package admin

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A namedConn is a connection that notes its end.
type namedConn struct {
	net.Conn
	name   string
	closed *[]string
}

func (c *namedConn) Close() error {
	*c.closed = append(*c.closed, c.name)
	return nil
}

// Who makes room when: a step is a verb and a connection's name.
func TestPlaces(t *testing.T) {
	for _, row := range []struct {
		name   string
		steps  string // with a ! where there is no place to answer
		closed string // connections that made room, in their order
	}{
		{"there is room", "enter a, enter b, enter c", ""},
		{"the one that waits the longest makes room", "enter a, enter b, enter c, enter d, enter e", "a b"},
		{"a head that is complete waits for its content from then on", "enter a, enter b, enter c, wait a, enter d", "b"},
		{"who is answered is left alone", "enter a, answer a, enter b, answer b, enter c, enter d, enter e", "c d"},
		{"one place is for those that wait", "enter a, answer a, enter b, answer b, enter c, answer c!, enter d", "c"},
		{"behind its answer a connection waits anew", "enter a, answer a, enter b, enter c, wait a, enter d, enter e, enter f", "b c a"},
		{"who leaves makes room by itself", "enter a, enter b, answer b, enter c, leave a, leave b, enter d, enter e", ""},
		{"who has left has no place", "enter a, leave a, wait a, answer a!, enter b, enter c, enter d, leave a", ""},
		{"who has made room has no place", "enter a, enter b, enter c, enter d, answer a!, wait a, enter e", "a b"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := places{most: 3}
			var closed []string
			conns := map[string]*namedConn{}
			for step := range strings.SplitSeq(row.steps, ", ") {
				verb, name, _ := strings.Cut(step, " ")
				name, refused := strings.CutSuffix(name, "!")
				c := conns[name]
				if c == nil {
					c = &namedConn{name: name, closed: &closed}
					conns[name] = c
				}
				switch verb {
				case "enter":
					p.enter(c)
				case "wait":
					p.wait(c)
				case "leave":
					p.leave(c)
				default:
					if got := p.answer(c); got == refused {
						t.Errorf("%s: it can be answered: %v", step, got)
					}
				}
				if n := len(p.waiting) + len(p.answering); n > p.most {
					t.Errorf("after %s %d places are taken", step, n)
				}
			}
			if got := strings.Join(closed, " "); got != row.closed {
				t.Errorf("%q made room; want %q", got, row.closed)
			}
		})
	}
}

// Whose request may be there already, and only not read yet, makes no room before that can have been done.
func TestPlacesGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := places{most: 2, grace: 5 * time.Millisecond}
		var closed []string
		enter := func(name string) { p.enter(&namedConn{name: name, closed: &closed}) }
		enter("a")
		enter("b")
		entered := make(chan struct{})
		go func() { enter("c"); close(entered) }()
		time.Sleep(p.grace - time.Nanosecond)
		synctest.Wait()
		select {
		case <-entered:
			t.Error("another made room within the grace")
		default:
		}
		<-entered
		if got := strings.Join(closed, " "); got != "a" {
			t.Errorf("%q made room behind the grace; want a", got)
		}
	})
}
