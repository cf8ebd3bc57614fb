package session

import (
	"testing"
	"time"

	"proxymap/session/credential"
)

// account is a mapping's account with an id of that expression, and more parameters.
func account(id string, more ...credential.Parameter) *credential.Account {
	return &credential.Account{Username: "user", Password: "x",
		Parameters: append([]credential.Parameter{{Name: "session", Value: id, SessionID: true}}, more...)}
}

// A session goes on under its id as long as the new plan could have made it.
func TestAdopt(t *testing.T) {
	country := func(code string) credential.Parameter { return credential.Parameter{Name: "country", Value: code} }
	base := PlanConfig{Lifetime: 10 * time.Minute, Set: true, Servers: []*credential.Account{nil, nil}, Account: account("^[a-z]{8}")}
	with := func(change func(*PlanConfig)) PlanConfig {
		cfg := base
		account := *base.Account
		cfg.Account = &account
		change(&cfg)
		return cfg
	}
	for _, row := range []struct {
		name   string
		change func(*PlanConfig)
		want   Adoption
	}{
		{"nothing", func(*PlanConfig) {}, AdoptedKept},
		{"the password", func(c *PlanConfig) { c.Account.Password = "y" }, AdoptedKept},
		{"the user name", func(c *PlanConfig) { c.Account.Username = "other" }, AdoptedChanged},
		{"a country", func(c *PlanConfig) { c.Account = account("^[a-z]{8}", country("de")) }, AdoptedChanged},
		{"a wider alphabet", func(c *PlanConfig) { c.Account = account("^[a-z0-9]{8}") }, AdoptedKept},
		{"another alphabet", func(c *PlanConfig) { c.Account = account("^[0-9]{8}") }, AdoptedReplaced},
		{"another length", func(c *PlanConfig) { c.Account = account("^[a-z]{9}") }, AdoptedReplaced},
		{"another literal", func(c *PlanConfig) { c.Account = account("fixed") }, AdoptedReplaced},
		{"the default ids", func(c *PlanConfig) { c.Account = &credential.Account{Username: "user", Password: "x"} }, AdoptedChanged},
		{"a preset with other ids", func(c *PlanConfig) {
			c.Account = &credential.Account{Username: "user", Password: "x", Template: &credential.Template{Username: "{username}-{session}", SessionAlphabet: "0-9", SessionLength: 8}}
		}, AdoptedReplaced},
		{"a longer lifetime", func(c *PlanConfig) { c.Lifetime = time.Hour }, AdoptedKept},
		{"a lifetime that is shorter than what is left", func(c *PlanConfig) { c.Lifetime = 5 * time.Minute }, AdoptedReplaced},
		{"no lifetime", func(c *PlanConfig) { c.Lifetime = 0 }, AdoptedReplaced},
		{"an id that clients choose", func(c *PlanConfig) { c.ParseParameters, c.Account = true, account("$session") }, AdoptedKept},
		{"no credentials of ours", func(c *PlanConfig) { c.Set = false }, AdoptedChanged},
	} {
		t.Run(row.name, func(t *testing.T) {
			slot := NewSlot(mustPlan(t, base))
			old := slot.Current(now, nil)
			old.Use()
			var told []string
			slot.Changed = func(change Change, reason string) {
				told = append(told, reason)
				if change.Old != old || change.New != slot.Last() {
					t.Errorf("told of %+v", change)
				}
			}
			next := mustPlan(t, with(row.change))
			change, got := slot.Adopt(now+int64(time.Minute), next, 1, true, FateJudged)
			if got != row.want || change.Old != old || change.Ended != old.Number() {
				t.Fatalf("got %d, %+v; want %d", got, change, row.want)
			}
			if slot.Plan() != next || slot.Server() != 1 || !slot.Fixed() {
				t.Error("the slot has not taken plan and server")
			}
			wantTold := map[Adoption]string{AdoptedChanged: ReasonChanged, AdoptedReplaced: ReasonReload}[row.want]
			if len(told) > 1 || wantTold != "" && (len(told) != 1 || told[0] != wantTold) || wantTold == "" && told != nil {
				t.Errorf("told %q; want %q", told, wantTold)
			}
			s := slot.Last()
			if s == nil {
				if next.Lifetime() != 0 {
					t.Error("there is no session")
				}
				return
			}
			if s == old || !s.IsOf(next) || old.IsOf(next) || s.Number() <= old.Number() {
				t.Error("the session is not one of the new plan's")
			}
			if kept := s.ID() == old.ID() && s.Expires() == old.Expires() && s.Use() == 2; kept != (row.want != AdoptedReplaced) {
				t.Errorf("session %+v goes on as %+v", old, s)
			}
		})
	}
}

// What a client chose is the client's: under other settings it may mean something else.
func TestAdoptReplacesWhatClientsChose(t *testing.T) {
	cfg := PlanConfig{Lifetime: 10 * time.Minute, Set: true, Servers: []*credential.Account{nil}, Account: account("$session"), ParseParameters: true}
	for name, make := range map[string]func(*Slot, *Plan){
		"in a user name":  func(s *Slot, p *Plan) { s.Current(now, p.NewClient("user-session-mine", "x")) },
		"to /session/new": func(s *Slot, _ *Plan) { s.Renew(now, []Pair{{Name: "session", Value: "mine"}}) },
		"before a restart": func(s *Slot, p *Plan) {
			kept, err := p.Restore("mine", "", now+int64(time.Minute), 10*time.Minute, []Pair{{Name: "session", Value: "mine"}})
			if err != nil {
				t.Fatal(err)
			}
			s.Restore(kept)
		},
	} {
		plan := mustPlan(t, cfg)
		slot := NewSlot(plan)
		make(slot, plan)
		if id := slot.Last().ID(); id != "mine" {
			t.Fatalf("%s: the id is %q", name, id)
		}
		if _, got := slot.Adopt(now, mustPlan(t, cfg), 0, false, FateJudged); got != AdoptedReplaced {
			t.Errorf("%s: got %d; want it replaced", name, got)
		}
	}
}

// An expired session ends, and is nobody's any more.
func TestAdoptOfExpired(t *testing.T) {
	slot := testSlot(t)
	if change, got := slot.Adopt(now, slot.Plan(), 0, false, FateJudged); got != AdoptedNone || change != (Change{}) {
		t.Errorf("a slot without a session: %d, %+v", got, change)
	}
	s := slot.Current(now, nil)
	var told string
	slot.Changed = func(_ Change, reason string) { told += reason }
	if _, got := slot.Adopt(s.Expires(), slot.Plan(), 0, false, FateJudged); got != AdoptedNone || slot.Last() != nil || told != ReasonExpired {
		t.Errorf("got %d, told %q", got, told)
	}
}

// The caller may know better than the ids do.
func TestAdoptTakesItsCallersWord(t *testing.T) {
	chosen := PlanConfig{Lifetime: 10 * time.Minute, Set: true, Servers: []*credential.Account{nil}, Account: account("$session"), ParseParameters: true}
	drawn := chosen
	drawn.Account = account("^[a-z]{8}")
	for _, row := range []struct {
		cfg  PlanConfig // whose session would be judged otherwise
		fate Fate
		want Adoption
	}{{chosen, FateKept, AdoptedKept}, {drawn, FateReplaced, AdoptedReplaced}} {
		plan := mustPlan(t, row.cfg)
		slot := NewSlot(plan)
		old := slot.Current(now, plan.NewClient("user-session-mine", "x"))
		if _, got := slot.Adopt(now, plan, 0, false, row.fate); got != row.want || (slot.Last().ID() == old.ID()) != (row.fate == FateKept) {
			t.Errorf("fate %d: got %d with session %q after %q; want %d", row.fate, got, slot.Last().ID(), old.ID(), row.want)
		}
	}
}
