package session

import (
	"sync"
	"testing"

	"proxymap/session/credential"
)

// An index of a plan's servers moves nothing in a slot whose plan is another by now.
func TestRepinUnderAnotherPlan(t *testing.T) {
	slot := testSlot(t)
	old, next := slot.Plan(), mustPlan(t, PlanConfig{Servers: []*credential.Account{nil, nil, nil}})
	slot.Pin(1)
	if server, ok := slot.ServerUnder(old); server != 1 || !ok {
		t.Fatalf("under its plan it is pinned to %d, %t; want 1", server, ok)
	}
	slot.Adopt(now, next, 1, false, FateJudged)
	slot.Repin(old, 1, 2)
	if server, ok := slot.ServerUnder(next); server != 1 || !ok {
		t.Errorf("pinned to %d, %t; want 1, as the new plan has it", server, ok)
	}
	if _, ok := slot.ServerUnder(old); ok {
		t.Error("it tells a server of a plan that it has no more")
	}
	if slot.Repin(next, 1, 2) != 2 {
		t.Error("it cannot be moved under its plan")
	}
}

// Who asks for a plan's server gets that plan's, whatever the slot adopts meanwhile, and whoever moves the pin.
func TestServerBelongsToPlan(t *testing.T) {
	cfg := PlanConfig{Servers: make([]*credential.Account, 8)}
	even, odd := mustPlan(t, cfg), mustPlan(t, cfg) // with pins that are even, and odd
	slot := NewSlot(even)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 2000 {
			slot.Adopt(now, odd, 1, false, FateJudged)
			slot.Adopt(now, even, 0, false, FateJudged)
		}
	})
	for _, p := range []*Plan{even, odd} {
		wg.Go(func() {
			first := 0
			if p == odd {
				first = 1
			}
			for range 2000 {
				if server, ok := slot.ServerUnder(p); ok && server%2 != first {
					t.Errorf("a plan has server %d of the other", server)
					return
				}
				slot.Repin(p, first, first+2)
			}
		})
	}
	wg.Wait()
}

// A client that another plan has judged is judged anew, and so are the parameters in its user name: before the slot makes a
// session of them, too.
func TestJudgedByAnotherPlan(t *testing.T) {
	cfg := PlanConfig{Lifetime: 1 << 40, Account: account("$session"), Set: true, Servers: []*credential.Account{nil}}
	blind := mustPlan(t, cfg)
	cfg.ParseParameters, cfg.Verify, cfg.Require = true, true, true
	strict := mustPlan(t, cfg)
	c := blind.NewClient("user-session-mine", "wrong")
	if blind.Admit(c) != Admitted || blind.Judged(c) != c || blind.Judged(nil) != nil {
		t.Fatal("the plan that made it judges it in another way")
	}
	if got := strict.Admit(strict.Judged(c)); got != Wrong {
		t.Errorf("judged %d; want it to be wrong", got)
	}
	if got := strict.Admit(strict.Judged(blind.NewClient("user-session-mine", "x"))); got != Admitted {
		t.Errorf("judged %d; want it admitted", got)
	}
	lax := mustPlan(t, PlanConfig{Require: true})
	if got := lax.Admit(lax.Judged(blind.NewClient("a:b", "x"))); got != Wrong {
		t.Errorf("what no client could have brought is judged %d", got)
	}
	if id := NewSlot(strict).Current(now, c).ID(); id != "mine" {
		t.Errorf("the session is %q; want the one that the slot's plan reads in the name", id)
	}
}
