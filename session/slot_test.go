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
	if c := slot.Reset(); c != (Change{}) {
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
	if c := slot.Reset(); c.New != nil || c.Old == nil || slot.Peek(now) != nil {
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
			slot.Reset()
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
	if got := slot.Repin(1, 2); got != 2 {
		t.Errorf("got %d; want 2", got)
	}
	if got := slot.Repin(1, 3); got != 2 {
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
