package session

import (
	"sync"
	"testing"
	"time"

	"proxymap/session/credential"
)

func testSlot(t testing.TB) *Slot {
	return NewSlot(mustPlan(t, PlanConfig{
		Lifetime: 10 * time.Minute, Set: true, Servers: []*credential.Account{nil},
		Account: &credential.Account{Username: "user", Password: "x", Parameters: []credential.Parameter{{Name: "session", Value: "^id", SessionID: true}}},
	}))
}

// 200 clients that come to a fresh port at once see one session.
func TestFreshSlotMakesOneSession(t *testing.T) {
	slot := testSlot(t)
	var wg sync.WaitGroup
	start := make(chan struct{})
	got := make([]*Session, 200)
	for i := range got {
		wg.Go(func() {
			<-start
			got[i] = slot.Current(now, nil)
		})
	}
	close(start)
	wg.Wait()
	for _, s := range got {
		if s != got[0] {
			t.Fatalf("two sessions: %q and %q", got[0].ID(), s.ID())
		}
	}
}

// A session is good up to its last nanosecond, and not in the next.
func TestExpiry(t *testing.T) {
	slot := testSlot(t)
	first := slot.Current(now, nil)
	end := now + int64(10*time.Minute)
	if slot.Current(end-1, nil) != first || slot.Peek(end-1) != first {
		t.Error("the session ended before its time")
	}
	if slot.Peek(end) != nil {
		t.Error("an expired session is shown")
	}
	second := slot.Current(end, nil)
	if second == first || second.Expires() != end+int64(10*time.Minute) {
		t.Error("the session did not end at its time, or the next one does not run from its creation")
	}
}

func TestRenewAndReset(t *testing.T) {
	slot := testSlot(t)
	if c := slot.Reset(now); c != (Change{}) {
		t.Errorf("resetting nothing changed %+v", c)
	}
	first := slot.Current(now, nil)
	c, err := slot.Renew(now, []Pair{{Name: "a", Value: "b"}})
	if err != nil || c.Old != first || c.New == nil || c.New != slot.Current(now, nil) {
		t.Errorf("got %+v, %v; want the first session to go and the current one to have come", c, err)
	}
	if p := slot.Current(now, nil).Parameters(); len(p) != 1 || p[0] != (Pair{Name: "a", Value: "b"}) {
		t.Errorf("the session has parameters %v", p)
	}
	if c := slot.Reset(now); c.New != nil || c.Old == nil || slot.Peek(now) != nil {
		t.Errorf("got %+v; want the session gone", c)
	}
	if s := slot.Current(now, nil); s.Parameters() != nil {
		t.Error("parameters outlived their session")
	}
}

// Those who read while others replace see whole sessions, and after a renewal never an older one.
func TestRenewRacesWithReaders(t *testing.T) {
	slot := testSlot(t)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if s := slot.Current(now, nil); userOf(t, s.Line(0)) != "user-session-"+s.ID()+":x" {
					t.Error("a session with another one's credentials")
					return
				}
			}
		})
	}
	for i := range 500 {
		if i%3 == 0 {
			slot.Reset(now)
			continue
		}
		c, _ := slot.Renew(now, nil)
		if slot.Current(now, nil) != c.New {
			t.Error("a third session has slipped in")
		}
	}
	close(stop)
	wg.Wait()
}

func TestRepin(t *testing.T) {
	slot := testSlot(t)
	slot.Pin(1)
	if got := slot.Repin(slot.Plan(), 1, 2); got != 2 {
		t.Errorf("got %d; want 2", got)
	}
	if got := slot.Repin(slot.Plan(), 1, 3); got != 2 {
		t.Errorf("got %d; want what the first has chosen, 2", got)
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	slot := testSlot(t)
	slot.Current(now, nil)
	c := slot.Plan().NewClient("me", "x")
	buf := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() {
		s := slot.Current(now, c)
		_ = s.Line(0)
		_ = slot.Plan().AppendCredentials(buf, s, 0, c)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCurrent(b *testing.B) {
	slot := testSlot(b)
	b.ReportAllocs()
	for b.Loop() {
		_ = slot.Current(now, nil).Line(0)
	}
}

// A session that has expired is told to have done so once, and before its successor is told of, whoever sees it first.
func TestExpiryIsToldOnceAndInOrder(t *testing.T) {
	for name, see := range map[string]func(s *Slot, now int64){
		"a watch, then a request": func(s *Slot, now int64) {
			if !s.Expire(now) || s.Expire(now) {
				t.Error("the watch does not see the session's end once")
			}
			s.Current(now, nil)
		},
		"a request, then a watch": func(s *Slot, now int64) {
			s.Current(now, nil)
			if s.Expire(now) {
				t.Error("the watch sees the end of a session that has just begun")
			}
		},
		"a call for another": func(s *Slot, now int64) { _, _ = s.Renew(now, nil) },
		"a reset":            func(s *Slot, now int64) { s.Reset(now) },
	} {
		slot := testSlot(t)
		var told []string
		slot.Changed = func(c Change, reason string) {
			told = append(told, reason)
			if reason == ReasonExpired && (c.Old != slot.Last() || c.New != nil || c.Ended != c.Old.Number()) {
				t.Errorf("%s: got %+v", name, c)
			}
		}
		first := slot.Current(now, nil)
		if slot.Expire(first.Expires() - 1) {
			t.Errorf("%s: the session ends before its time", name)
		}
		see(slot, first.Expires())
		if len(told) < 2 || told[1] != ReasonExpired || len(told) > 3 {
			t.Errorf("%s: got %v; want traffic, expired and what came then", name, told)
		}
	}
}

// What has been told to have expired is no longer used, on a clock that is behind too: its connections have been reached.
func TestExpiredOnEveryClock(t *testing.T) {
	slot := testSlot(t)
	first := slot.Current(now, nil)
	slot.Expire(first.Expires())
	if slot.Peek(now) != nil || slot.Current(now, nil) == first {
		t.Error("a session is used after its end has been told")
	}
}

// A change says which sessions are over.
func TestChangeSaysWhatHasEnded(t *testing.T) {
	slot := testSlot(t)
	for i := range uint64(3) {
		c, _ := slot.Renew(now, nil)
		if c.Ended != i || c.New.Number() != i+1 {
			t.Errorf("got %+v, number %d; want %d ended", c, c.New.Number(), i)
		}
	}
	for range 2 {
		if c := slot.Reset(now); c.Ended != 3 {
			t.Errorf("got %+v; want all three ended", c)
		}
	}
}

// A port that is pinned for good stays where it is.
func TestFix(t *testing.T) {
	s := NewSlot(nil)
	s.Pin(3)
	if s.Fixed() || s.Server() != 3 {
		t.Fatalf("pinned: fixed %t, server %d", s.Fixed(), s.Server())
	}
	s.Fix(2)
	s.Pin(1)
	if got := s.Repin(nil, 2, 0); got != 2 || s.Server() != 2 || !s.Fixed() {
		t.Errorf("fixed %t, server %d, Repin %d; want 2", s.Fixed(), s.Server(), got)
	}
}
