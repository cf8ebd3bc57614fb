package session

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"proxymap/session/credential"
)

// A session that is made anew from what was kept of it sends the same credentials and is shown in the same way.
func TestRestore(t *testing.T) {
	p := mustPlan(t, PlanConfig{
		Lifetime: 10 * time.Minute, Set: true, ParseParameters: true, Servers: []*credential.Account{nil, {Username: "other"}},
		Account: &credential.Account{Username: "user", Password: "x", Parameters: []credential.Parameter{
			{Name: "country", Value: "us"},
			{Name: "session", Value: "$id", Default: "^id", SessionID: true},
			{Name: "time", Value: "$t", Default: "5", SessionTime: true},
		}},
	})
	for _, row := range []struct {
		name   string
		client *Client
		given  []Pair
	}{
		{"alone", nil, nil},
		{"with parameters", nil, []Pair{{Name: "t", Value: "7"}, {Name: "unused", Value: "ü"}}},
		{"for a client's own id, in no encoding", p.NewClient("user-id-\xff\xfe-t-020", "x"), nil},
	} {
		made, err := p.New(now, row.client, row.given)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := p.Restore(made.ID(), made.Minutes(), made.Expires(), made.Lifetime(), made.Parameters())
		if err != nil || !reflect.DeepEqual(kept, made) {
			t.Errorf("%s: got %+v, %v; want %+v", row.name, kept, err, made)
		}
		slot := NewSlot(p)
		slot.Restore(kept)
		if slot.Current(now, nil) != kept || slot.Peek(kept.Expires()) != nil {
			t.Errorf("%s: the slot has another session, or one that does not expire", row.name)
		}
	}
}

// What no plan would have made is refused, and so is a session where each connection is one by now.
func TestRestoreRefuses(t *testing.T) {
	sticky := mustPlan(t, PlanConfig{Lifetime: time.Minute})
	for _, row := range []struct {
		plan        *Plan
		id, minutes string
		lifetime    time.Duration
		params      []Pair
		want        string
	}{
		{sticky, "", "", 1, nil, "the session id is empty"},
		{sticky, "a:b", "", 1, nil, "the session id is empty"},
		{sticky, "a\r\nb", "", 1, nil, "the session id is empty"},
		{sticky, strings.Repeat("a", credential.MaxCredentials+1), "", 1, nil, "the session id is empty"},
		{sticky, "a", "1\n", 1, nil, "whole minutes"},
		{sticky, "a", "", 0, nil, "the lifetime 0s"},
		{sticky, "a", "", 1, []Pair{{Name: "a", Value: "b:c"}}, `parameter "a"`},
		{sticky, "a", "", 1, []Pair{{Name: "a b", Value: "c"}}, `parameter "a b"`},
		{sticky, "a", "", 1, []Pair{{Name: "a", Value: strings.Repeat("c", credential.MaxValue+1)}}, `parameter "a"`},
		{sticky, "a", "", 1, make([]Pair, credential.MaxParameters+1), "33 parameters"},
		{mustPlan(t, PlanConfig{Remedy: "set StickyProxyLifetime"}), "a", "", 1, nil, "StickyProxyLifetime"},
	} {
		s, err := row.plan.Restore(row.id, row.minutes, now, row.lifetime, row.params)
		if s != nil || err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%q, %q, %v, %v: got %v, %v; want an error with %q", row.id, row.minutes, row.lifetime, row.params, s, err, row.want)
		}
	}
}
