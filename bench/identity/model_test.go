//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const second = int64(time.Second)

var testTimes = Times{Drain: time.Second, Grace: 5 * time.Second, Keep: 3 * time.Second}

// newTestModel has three ports: 0 is changed by calls alone and keeps connections, 1 closes them and takes two requests for a
// session, 2 drains. Each session lives ten seconds.
func newTestModel() *Model {
	return NewModel(testTimes, []Policy{
		{OnRotate: Keep, Lifetime: 10 * time.Second, CallsOnly: true},
		{OnRotate: Close, Lifetime: 10 * time.Second, Most: 2},
		{OnRotate: Drain, Lifetime: 10 * time.Second},
	}, []string{"0", "1", "2"})
}

// kinds are those of the violations so far.
func kinds(m *Model) (list []Kind) {
	first, _ := m.Violations()
	for _, v := range first {
		list = append(list, v.Kind)
	}
	return list
}

// rotated tells that a port's session was replaced for a reason.
func rotated(m *Model, port int, old, made, reason string, at int64) {
	m.Told(Event{Port: port, Old: old, New: made, Reason: reason}, at)
}

// saw has a request asked for and seen under a session at once.
func saw(m *Model, port int, session string, at int64) {
	m.Saw(port, session, m.Asked(port, at), at, false)
}

// carried has a message asked for and seen in a tunnel of a session at once.
func carried(m *Model, port int, session string, at int64) {
	m.Carried(port, session, m.Asked(port, at), at)
}

// renewed has a call replace a port's session.
func renewed(m *Model, port int, session string, how How, at int64) {
	m.Renewed(port, session, true, how, m.Calls(port, at), at)
}

func reset(m *Model, port int, how How, at int64) { m.Reset(port, how, m.Calls(port, at), at) }

// What may be seen in each situation, and what may not.
func TestModel(t *testing.T) {
	for _, row := range []struct {
		name string
		play func(m *Model)
		want []Kind
	}{
		{"a session is seen, told and shown", func(m *Model) {
			saw(m, 0, "a", 1)
			rotated(m, 0, "", "a", "traffic", 2)
			m.Showed(0, "a", m.Asked(0, 3), 3, true)
			saw(m, 0, "a", 4)
		}, nil},
		{"a request that was asked before a rotation is seen under the older session", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			asked := m.Asked(0, 2)
			rotated(m, 0, "a", "b", "new", 3)
			m.Saw(0, "a", asked, 4, false)
		}, nil},
		{"one that was asked after its event is not", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			rotated(m, 0, "a", "b", "new", 3)
			saw(m, 0, "a", 4)
		}, []Kind{Older}},
		{"nor after the answer to the call, whose event comes later", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			renewed(m, 0, "b", Keep, 2)
			asked := m.Asked(0, 3)
			m.Saw(0, "a", asked, 4, false)
			rotated(m, 0, "a", "b", "new", 5)
		}, []Kind{Older}},
		{"nor after another request was seen under the newer one", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			saw(m, 0, "b", 2)
			saw(m, 0, "a", 3)
			rotated(m, 0, "a", "b", "new", 4)
		}, []Kind{Older}},
		{"a request is seen under a newer session than that shown before", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			asked := m.Asked(0, 2)
			rotated(m, 0, "a", "b", "new", 3)
			m.Saw(0, "b", asked, 4, false)
		}, nil},
		{"two calls at once, answered in the other order", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			first, second := m.Calls(0, 2), m.Calls(0, 2)
			m.Renewed(0, "c", true, Keep, second, 3)
			m.Renewed(0, "b", true, Keep, first, 4)
			rotated(m, 0, "a", "b", "new", 5)
			rotated(m, 0, "b", "c", "new", 5)
			saw(m, 0, "c", 6)
		}, nil},
		{"a reset without a session in force", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			reset(m, 0, Keep, 2)
			rotated(m, 0, "a", "", "reset", 2)
			reset(m, 0, Keep, 3)
			saw(m, 0, "b", 4)
			rotated(m, 0, "", "b", "traffic", 5)
		}, nil},
		{"after a reset's answer the older session is seen", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			reset(m, 0, Keep, 2)
			saw(m, 0, "a", 3)
		}, []Kind{Older}},
		{"the answer to a call is a session that was there before", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			renewed(m, 0, "a", Keep, 2)
		}, []Kind{Older}},
		{"the same, and its event has not come", func(m *Model) {
			saw(m, 0, "a", 1)
			renewed(m, 0, "a", Keep, 2)
		}, []Kind{Older}},
		{"the API shows an older session", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			rotated(m, 0, "a", "b", "new", 2)
			m.Showed(0, "a", m.Asked(0, 3), 3, true)
		}, []Kind{Older}},
		{"a connection goes back", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			rotated(m, 0, "a", "b", "new", 2)
			m.Followed(0, "b", "a")
			m.Followed(0, "a", "b")
		}, []Kind{Older}},
		{"a session expires and the next one comes", func(m *Model) {
			rotated(m, 2, "", "a", "traffic", 1)
			rotated(m, 2, "a", "", "expired", 10*second)
			saw(m, 2, "b", 10*second)
			rotated(m, 2, "a", "b", "traffic", 10*second)
		}, nil},
		{"what has expired by its event is seen", func(m *Model) {
			rotated(m, 2, "", "a", "traffic", 1)
			rotated(m, 2, "a", "", "expired", 10*second)
			saw(m, 2, "a", 10*second)
		}, []Kind{Older}},
		{"what should have expired is seen", func(m *Model) {
			rotated(m, 2, "", "a", "traffic", 0)
			saw(m, 2, "a", 15*second)
			saw(m, 2, "a", 15*second+1)
		}, []Kind{Expired}},
		{"a session has as many requests as it may, one of which comes again", func(m *Model) {
			saw(m, 1, "a", 1)
			saw(m, 1, "a", 2)
			m.Saw(1, "a", m.Asked(1, 3), 3, true)
			rotated(m, 1, "", "a", "traffic", 4)
		}, nil},
		{"a session has one more", func(m *Model) {
			saw(m, 1, "a", 1)
			rotated(m, 1, "", "a", "traffic", 2)
			saw(m, 1, "a", 3)
			saw(m, 1, "a", 4)
		}, []Kind{Overused}},
		{"a tunnel goes on after a call that keeps it", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			renewed(m, 0, "b", Keep, 2)
			rotated(m, 0, "a", "b", "new", 2)
			carried(m, 0, "a", 60*second)
		}, nil},
		{"a message that was asked before the answer to a close", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			asked := m.Asked(0, 2)
			renewed(m, 0, "b", Close, 3)
			m.Carried(0, "a", asked, 4)
			rotated(m, 0, "a", "b", "new", 4)
		}, nil},
		{"one that was asked after it", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			renewed(m, 0, "b", Close, 3)
			carried(m, 0, "a", 4)
			rotated(m, 0, "a", "b", "new", 4)
		}, []Kind{Cut}},
		{"one that was asked before it, and comes much later", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			asked := m.Asked(0, 2)
			renewed(m, 0, "b", Close, 3)
			rotated(m, 0, "a", "b", "new", 4)
			m.Carried(0, "a", asked, 3+5*second)
		}, []Kind{Late}},
		{"a request that was asked before it, and comes much later", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			asked := m.Asked(0, 2)
			renewed(m, 0, "b", Close, 3)
			rotated(m, 0, "a", "b", "new", 4)
			m.Saw(0, "a", asked, 3+5*second, false)
		}, []Kind{Late}},
		{"after a reset that closes", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			reset(m, 0, Close, 2)
			carried(m, 0, "a", 3)
		}, []Kind{Cut}},
		{"after a call of many ports that closes, which shows a later session", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			m.Renewed(0, "c", false, Close, m.Calls(0, 2), 3)
			rotated(m, 0, "a", "b", "new", 3)
			rotated(m, 0, "b", "c", "new", 3)
			carried(m, 0, "b", 4)
			carried(m, 0, "a", 4)
		}, []Kind{Cut}},
		{"a tunnel that drains, until its time is over", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			renewed(m, 0, "b", Drain, 2)
			rotated(m, 0, "a", "b", "new", 2)
			carried(m, 0, "a", 6*second)
			carried(m, 0, "a", 2+6*second)
		}, []Kind{Cut}},
		{"a session that ends by itself closes its tunnels, with a grace", func(m *Model) {
			rotated(m, 1, "", "a", "traffic", 0)
			rotated(m, 1, "a", "b", "requests", second)
			carried(m, 1, "a", 6*second-1)
			carried(m, 1, "a", 6*second)
		}, []Kind{Cut}},
		{"one that expires drains them", func(m *Model) {
			rotated(m, 2, "", "a", "traffic", 0)
			rotated(m, 2, "a", "", "expired", second)
			carried(m, 2, "a", 7*second-1)
			carried(m, 2, "a", 7*second)
		}, []Kind{Cut}},
		{"a session of another port is seen", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			saw(m, 1, "a", 2)
		}, []Kind{Shared}},
		{"an event gives a port the session of another", func(m *Model) {
			saw(m, 0, "a", 1)
			rotated(m, 1, "", "a", "traffic", 2)
		}, []Kind{Shared}},
		{"a tunnel carries the session of another port", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			carried(m, 1, "a", 2)
		}, []Kind{Shared}},
		{"an id returns", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			rotated(m, 0, "a", "b", "new", 2)
			rotated(m, 0, "b", "a", "new", 3)
		}, []Kind{Returned}},
		{"a session is never told", func(m *Model) {
			saw(m, 0, "a", 1)
			m.Passes(1 + 5*second)
			m.Passes(2 + 5*second)
		}, []Kind{Unshown}},
		{"a request without a session", func(m *Model) { saw(m, 0, "", 1) }, []Kind{Unshown}},
		{"an event is missing", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			rotated(m, 0, "b", "c", "new", 2)
		}, []Kind{Disordered}},
	} {
		m := newTestModel()
		row.play(m)
		if got := kinds(m); !slices.Equal(got, row.want) {
			first, _ := m.Violations()
			t.Errorf("%s: %v; want %v\n%v", row.name, got, row.want, first)
		}
		if _, checks := m.Waiting(); checks > 0 {
			t.Errorf("%s: %d checks wait", row.name, checks)
		}
	}
}

// What a port may have after a crash.
func TestModelOverKills(t *testing.T) {
	// killed kills the relay at that moment, with port 0 found as said behind it, and the others without a session.
	killed := func(m *Model, found string, at int64) {
		m.Killed(at)
		m.Found(0, found, at)
		m.Found(1, "", at)
		m.Found(2, "", at)
	}
	for _, row := range []struct {
		name string
		play func(m *Model)
		want []Kind
	}{
		{"the confirmed session", func(m *Model) {
			renewed(m, 0, "a", Keep, 1)
			rotated(m, 0, "", "a", "new", 1)
			killed(m, "a", 2)
			saw(m, 0, "a", 3)
			rotated(m, 0, "a", "b", "new", 4)
			saw(m, 0, "b", 5)
		}, nil},
		{"the confirmed session, whose event has not come", func(m *Model) {
			rotated(m, 0, "", "z", "traffic", 1)
			renewed(m, 0, "a", Keep, 1)
			killed(m, "a", 2)
			saw(m, 0, "a", 3)
		}, nil},
		{"none in its place", func(m *Model) {
			renewed(m, 0, "a", Keep, 1)
			rotated(m, 0, "", "a", "new", 1)
			killed(m, "", 2)
		}, []Kind{Lost}},
		{"none, for it has expired", func(m *Model) {
			renewed(m, 0, "a", Keep, 0)
			rotated(m, 0, "", "a", "new", 0)
			killed(m, "", 11*second)
		}, nil},
		{"one that nobody has seen in its place, and nothing has happened", func(m *Model) {
			renewed(m, 0, "a", Keep, 1)
			rotated(m, 0, "", "a", "new", 1)
			killed(m, "b", 2)
		}, []Kind{Lost}},
		{"the same, and a call was under way", func(m *Model) {
			renewed(m, 0, "a", Keep, 1)
			rotated(m, 0, "", "a", "new", 1)
			m.Calls(0, 2)
			m.Failed(0)
			killed(m, "b", 3)
		}, nil},
		{"the one before it", func(m *Model) {
			rotated(m, 0, "", "z", "traffic", 1)
			renewed(m, 0, "a", Keep, 2)
			rotated(m, 0, "z", "a", "new", 2)
			m.Calls(0, 2)
			m.Failed(0)
			killed(m, "z", 3)
		}, []Kind{Lost}},
		{"the one before a session that traffic has made just now", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			m.Showed(0, "a", m.Asked(0, 1), 1, true)
			rotated(m, 0, "a", "b", "requests", 2)
			killed(m, "a", 3)
			saw(m, 0, "a", 4)
		}, nil},
		{"the one before a session that traffic has made a while ago", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			m.Showed(0, "a", m.Asked(0, 1), 1, true)
			rotated(m, 0, "a", "b", "requests", 2)
			killed(m, "a", 2+3*second)
		}, []Kind{Lost}},
		{"one that was reset", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			reset(m, 0, Keep, 2)
			rotated(m, 0, "a", "", "reset", 2)
			killed(m, "a", 3)
		}, []Kind{Lost}},
		{"that of another port", func(m *Model) {
			rotated(m, 1, "", "a", "traffic", 1)
			killed(m, "a", 2)
		}, []Kind{Shared}},
		{"what was lost comes again", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			rotated(m, 0, "a", "b", "requests", 2)
			killed(m, "a", 3)
			rotated(m, 0, "a", "b", "new", 4)
		}, []Kind{Returned}},
		{"what was seen and had no event comes again", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			saw(m, 0, "b", 2)
			killed(m, "a", 3)
			saw(m, 0, "b", 4)
		}, []Kind{Older, Late}},
		{"a tunnel from before", func(m *Model) {
			rotated(m, 0, "", "a", "traffic", 1)
			rotated(m, 0, "a", "b", "requests", 2)
			killed(m, "b", 3)
			carried(m, 0, "a", 4)
		}, []Kind{Cut, Late}},
	} {
		m := newTestModel()
		row.play(m)
		if got := kinds(m); !slices.Equal(got, row.want) {
			first, _ := m.Violations()
			t.Errorf("%s: %v; want %v\n%v", row.name, got, row.want, first)
		}
	}
}

// Only a port whose calls have all been answered is sure of its session.
func TestFoundIsSure(t *testing.T) {
	for _, row := range []struct {
		name string
		play func(m *Model)
		want bool
	}{
		{"a call was answered", func(m *Model) { renewed(m, 0, "a", Keep, 1); rotated(m, 0, "", "a", "new", 1) }, true},
		{"and another session was seen", func(m *Model) { renewed(m, 0, "a", Keep, 1); saw(m, 0, "b", 2) }, false},
		{"one of two calls was not", func(m *Model) { m.Calls(0, 1); renewed(m, 0, "a", Keep, 1); m.Failed(0) }, false},
		{"a reset was answered", func(m *Model) { reset(m, 0, Keep, 1) }, false},
		{"nothing was", func(m *Model) { saw(m, 0, "a", 1) }, false},
	} {
		m := newTestModel()
		row.play(m)
		m.Killed(3)
		if got := m.Found(0, "a", 3); got != row.want {
			t.Errorf("%s: sure %v; want %v", row.name, got, row.want)
		}
	}
}

// The first violations are kept with the port's history, the others are counted.
func TestViolationsAreBounded(t *testing.T) {
	m := newTestModel()
	rotated(m, 0, "", "first", "traffic", 0)
	for i := range 2 * maxFacts {
		rotated(m, 0, fmt.Sprint("not", i), fmt.Sprint("s", i), "new", int64(i))
	}
	first, count := m.Violations()
	if len(first) != maxViolations || count != 2*maxFacts {
		t.Errorf("%d violations are kept of %d; want %d of %d", len(first), count, maxViolations, 2*maxFacts)
	}
	last := m.ports[0].history.lines()
	if text := first[0].String(); len(last) != maxFacts || !strings.Contains(text, "event: none goes, first comes, traffic") {
		t.Errorf("the last history has %d lines, the first violation says %s", len(last), text)
	}
	if want := fmt.Sprintf("not%d goes, s%[1]d comes", 2*maxFacts-1); !strings.Contains(last[maxFacts-1], want) {
		t.Errorf("the last history ends with %q; want %q", last[maxFacts-1], want)
	}
}

// What was asked and seen of ten million requests takes no memory.
func TestRequestsTakeNoMemory(t *testing.T) {
	m := newTestModel()
	rotated(m, 0, "", "a", "traffic", 1)
	if n := testing.AllocsPerRun(100, func() { saw(m, 0, "a", 2); carried(m, 0, "a", 2) }); n > 0 {
		t.Errorf("a request and a message take %v allocations; want 0", n)
	}
}
