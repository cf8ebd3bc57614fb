package session

import (
	"strings"
	"testing"
	"time"

	"proxymap/session/credential"
)

// templatePlan is a plan of a template, on an account "user" with the password "pw".
func templatePlan(t testing.TB, template credential.Template, lifetime time.Duration) *Plan {
	t.Helper()
	return mustPlan(t, PlanConfig{
		Lifetime: lifetime, Set: true, ParseParameters: true, Servers: []*credential.Account{nil},
		Account: &credential.Account{Username: "user", Password: "pw", Template: &template},
	})
}

// The answer to a call with such a value is 400, and nothing has changed.
func TestTemplateValueRefusedByAPI(t *testing.T) {
	slot := NewSlot(templatePlan(t, credential.Template{Username: "{username}-{param:cc}-{session}"}, time.Hour))
	before := slot.Current(now, nil)
	got := testAPI.Answer(slot, call("GET", "/session/new?cc=us-x"), now)
	if got.Status != 400 || !strings.Contains(string(got.Body), `cc="us-x": must be letters, digits and ._~,+`) || slot.Peek(now) != before {
		t.Errorf("got %d %s; want 400, and the session as it was", got.Status, got.Body)
	}
}

// There is a ready line exactly where all connections of a session send the same.
func TestTemplateReadyLine(t *testing.T) {
	for _, row := range []struct {
		user, password string
		parse, want    bool
	}{
		{"{username}-{session}-{ttl}", "{password}", true, true},
		{"{username}-{param:cc}", "", false, true},
		{"{username}-{param:cc}", "", true, false},
		{"", "{password}[-{param:cc}]", true, false},
	} {
		p := mustPlan(t, PlanConfig{
			Lifetime: time.Hour, Set: true, ParseParameters: row.parse, Servers: []*credential.Account{nil},
			Account: &credential.Account{Template: &credential.Template{Username: row.user, Password: row.password}},
		})
		if got := NewSlot(p).Current(now, nil).Line(0) != nil; got != row.want {
			t.Errorf("%q, %q, parsed %v: a ready line is %v; want %v", row.user, row.password, row.parse, got, row.want)
		}
	}
}
