package credential

import (
	"testing"
	"time"
)

// Accounts have equal rules where each could have made what the other made, and others where not.
func TestRules(t *testing.T) {
	sticky := func(value, fallback string) *Account {
		return &Account{Username: "u", Password: "p", Parameters: []Parameter{{Name: "session", Value: value, Default: fallback, SessionID: true}}}
	}
	timed := func(value string) *Account {
		return &Account{Username: "u", Parameters: []Parameter{{Name: "time", Value: value, SessionTime: true}}}
	}
	form := func(alphabet string, length int) *Account {
		return &Account{Username: "u", Template: &Template{Username: "{username}-{session}", SessionAlphabet: alphabet, SessionLength: length}}
	}
	for _, row := range []struct {
		name           string
		a, b           Config
		ids, lifetimes bool // are equal
	}{
		{"password and user name", Config{Account: sticky("^[a-z]{8}", "")}, Config{Account: &Account{Username: "v", Password: "q", Parameters: sticky("^[a-z]{8}", "").Parameters}}, true, true},
		{"pattern", Config{Account: sticky("^[a-z]{8}", "")}, Config{Account: sticky("^[a-z]{9}", "")}, false, true},
		{"literal", Config{Account: sticky("a", "")}, Config{Account: sticky("b", "")}, false, true},
		{"name that clients give", Config{Account: sticky("$a", "")}, Config{Account: sticky("$b", "")}, false, true},
		{"default", Config{Account: sticky("$a", "^[a-z]{8}")}, Config{Account: sticky("$a", "^[a-z]{9}")}, false, true},
		{"pattern and eight letters", Config{Account: sticky("^[A-Za-z]{8}", "")}, Config{Account: &Account{Username: "u"}}, false, true},
		{"alphabet", Config{Account: form("a-z", 8)}, Config{Account: form("a-z0-9", 8)}, false, true},
		{"alphabet written otherwise", Config{Account: form("a-c", 8)}, Config{Account: form("abc", 8)}, true, true},
		{"length", Config{Account: form("a-z", 8)}, Config{Account: form("a-z", 9)}, false, true},
		{"account of a server", Config{Servers: []*Account{form("a-z", 8)}}, Config{Servers: []*Account{form("a-z", 9)}}, false, true},
		{"lifetime", Config{Lifetime: time.Minute}, Config{Lifetime: time.Hour}, true, false},
		{"parameter with the lifetime", Config{Account: timed("5")}, Config{Account: timed("6")}, true, false},
		{"lifetime that is drawn", Config{Account: timed("^[1-9]")}, Config{Account: timed("^[1-9]")}, true, true},
	} {
		a, errA := Compile(row.a)
		b, errB := Compile(row.b)
		if errA != nil || errB != nil {
			t.Fatal(row.name, errA, errB)
		}
		if equal := a.IDRule() == b.IDRule(); equal != row.ids {
			t.Errorf("%s: ids by %+v and %+v; want equal: %v", row.name, a.IDRule(), b.IDRule(), row.ids)
		}
		if equal := a.LifetimeRule() == b.LifetimeRule(); equal != row.lifetimes {
			t.Errorf("%s: lifetimes by %+v and %+v; want equal: %v", row.name, a.LifetimeRule(), b.LifetimeRule(), row.lifetimes)
		}
	}
	given, _ := Compile(Config{Account: sticky("$a", "")})
	drawn, _ := Compile(Config{Account: sticky("^a{3}", "")})
	if !given.IDRule().Given || drawn.IDRule().Given {
		t.Errorf("ids that clients give: %+v; ids that are drawn: %+v", given.IDRule(), drawn.IDRule())
	}
}
