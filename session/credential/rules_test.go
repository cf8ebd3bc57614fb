package credential

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSessionIDs(t *testing.T) {
	for _, row := range []struct {
		alphabet string
		length   int
		want     string // all ids match it, whole
		all      string // each of these characters comes
	}{
		{"", 0, `[A-Za-z0-9]{8}`, "azAZ09"},
		{"0-9", 4, `[1-9][0-9]{3}`, "0123456789"},
		{"0-9a-f", 13, `[0-9a-f]{13}`, "0af"},
		{"A-C_-", 1, `[A-C_-]`, "ABC_-"},
		{"-a", 2, `[-a]{2}`, "-a"},
		{"01", 2, `1[01]`, "01"},
	} {
		p := mustCompile(t, Config{Lifetime: time.Hour, Account: &Account{Template: &Template{
			Username: "{session}", SessionAlphabet: row.alphabet, SessionLength: row.length,
		}}})
		want, seen := regexp.MustCompile("^"+row.want+"$"), ""
		for range 2000 {
			id := p.ID(nil, nil, nil)
			if !want.MatchString(id) {
				t.Fatalf("%q, %d: got id %q; want %s", row.alphabet, row.length, id, row.want)
			}
			seen += id
		}
		for _, c := range row.all {
			if !strings.ContainsRune(seen, c) {
				t.Errorf("%q, %d: %q never comes in 2,000 ids", row.alphabet, row.length, c)
			}
		}
	}
}

// A session has one id, so the servers of a mapping cannot want it in different forms.
func TestOneIDRuleForAllServers(t *testing.T) {
	digits := &Account{Username: "b", Template: &Template{Username: "{session}", SessionAlphabet: "0-9"}}
	for _, row := range []struct {
		name    string
		account *Account
		fault   bool
	}{
		{"another template's", &Account{Template: &Template{Username: "{session}"}}, true},
		{"a parameter's", &Account{Parameters: []Parameter{{Name: "s", Value: "^x", SessionID: true}}}, true},
		{"the same", &Account{Template: &Template{Password: "{session}", SessionAlphabet: "0-9", SessionLength: 8}}, false},
		{"none", &Account{Template: &Template{}}, false},
	} {
		_, err := Compile(Config{Account: row.account, Servers: []*Account{digits}})
		if (err != nil) != row.fault || err != nil && !strings.HasPrefix(err.Error(), "server 0: alphabet of session ids: the mapping's ids are drawn by another rule") {
			t.Errorf("%s: got %v; want a fault %v", row.name, err, row.fault)
		}
	}
}

func TestTTL(t *testing.T) {
	const day = 24 * time.Hour
	for _, row := range []struct {
		unit     string
		min, max time.Duration
		lifetime time.Duration
		want     string
	}{
		{"", 0, 0, time.Hour, "60"},
		{"m", 0, 0, time.Hour, "60"},
		{"s", 0, 0, time.Hour, "3600"},
		{"suffixed", 0, 0, time.Hour, "60m"},
		{"suffixed", 0, 0, 90 * time.Second, "90s"},
		{"m", 0, 0, 90 * time.Second, "2"}, // rounded up
		{"suffixed", 0, 0, 1500 * time.Millisecond, "2s"},
		{"m", 3 * time.Minute, day, 2 * time.Minute, "3"},
		{"m", 3 * time.Minute, day, 3 * time.Minute, "3"},
		{"m", 3 * time.Minute, day, 1440 * time.Minute, "1440"},
		{"m", 3 * time.Minute, day, 1441 * time.Minute, "1440"},
		{"s", 0, day, 2 * day, "86400"},
		{"suffixed", 0, day, 2 * day, "1440m"},
		{"m", 3 * time.Minute, day, 0, "no"}, // empty: the group vanishes
	} {
		p := templateAccounts(t, Template{Username: "no[={ttl}]", TTLUnit: row.unit, TTLMin: row.min, TTLMax: row.max}, row.lifetime)
		got, _, _ := p.Credentials(nil, 0, session(t, p))
		if strings.TrimPrefix(got, "no=") != row.want {
			t.Errorf("%q, %v to %v, lifetime %v: got %q; want %q", row.unit, row.min, row.max, row.lifetime, got, row.want)
		}
	}
}

// {ttl} is the lifetime of the session, not of the plan.
func TestTTLOfSessionTimeParameter(t *testing.T) {
	p := mustCompile(t, Config{
		Lifetime: time.Hour, Set: true, Account: &Account{Parameters: []Parameter{{Name: "t", Value: "$t", SessionTime: true}}},
		Servers: []*Account{{Username: "own", Template: &Template{Username: "{ttl}"}}},
	})
	checkSent(t, p, session(t, p, Pair{"t", "7"}), "7:")
}

func TestWarnings(t *testing.T) {
	const id, both = "{username}-{session}", "{username}-{session}[-{ttl}]"
	for _, row := range []struct {
		name     string
		template Template
		lifetime time.Duration
		want     string // in the only warning; empty: there is none
	}{
		{"nothing to say", Template{Username: both, TTLMin: time.Minute, TTLMax: time.Hour}, time.Hour, ""},
		{"clamped", Template{Username: both, TTLMax: time.Hour}, 61 * time.Minute, "lifetime of 61 min is longer than the provider keeps a session, 60 min"},
		{"not told, but longer than the provider keeps", Template{Username: id, TTLMax: time.Hour}, 61 * time.Minute, "longer than the provider keeps a session, 60 min"},
		{"raised", Template{Username: both, TTLMin: 3 * time.Minute}, 2 * time.Minute, "{ttl} says 3 min"},
		{"lifetime 0", Template{Username: both}, 0, "each client connection has an id of its own"},
		{"lifetime 0 and nothing to keep", Template{Username: both, TTLMin: time.Minute, TTLMax: time.Hour}, 0, "each client connection has an id of its own"},
		{"no session", Template{Username: "{username}"}, time.Hour, "has no {session}"},
		{"few ids", Template{Username: id, SessionAlphabet: "0-9", SessionLength: 4}, time.Hour, "there are 9000 session ids only"},
		{"ids enough", Template{Username: id, SessionAlphabet: "0-9", SessionLength: 8}, time.Hour, ""},
		{"the prefix twice", Template{Username: "us{username}-{session}"}, time.Hour, "the user name begins with us, which"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := templateAccounts(t, row.template, row.lifetime).Warnings()
			if row.want == "" && len(got) > 0 || row.want != "" && (len(got) != 1 || !strings.Contains(got[0].Text, row.want)) {
				t.Errorf("got %v; want one that says %q", got, row.want)
			}
		})
	}
	if got := templateAccounts(t, Template{Username: "{session}-{ttl}"}, 0).Warnings(); len(got) != 2 || !strings.Contains(got[1].Text, "put it into a group") {
		t.Errorf("{ttl} outside of a group, lifetime 0: got %v", got)
	}
}

// Patterns that draw few ids were passed over: only templates were looked at.
func TestFewIDsOfPattern(t *testing.T) {
	id := func(value, fallback string) []Parameter {
		return []Parameter{{Name: "session", Value: value, Default: fallback, SessionID: true}}
	}
	for _, row := range []struct {
		name     string
		params   []Parameter
		lifetime time.Duration
		unset    bool   // requests do not carry the account
		want     string // begins the only warning; empty: there is none
	}{
		{"one", id("^abc", ""), time.Hour, false, "there is one session id only: all ports have it"},
		{"two", id("^[ab]", ""), time.Hour, false, "there are 2 session ids only: two ports can"},
		{"hundreds", id("^[a-z]{2}", ""), time.Hour, false, "there are 676 session ids only"},
		{"just enough", id("^[0-9]{6}", ""), time.Hour, false, ""},
		{"just too few", id("^[1-9][0-9]{5}", ""), time.Hour, false, "there are 900000 session ids only"},
		{"enough", id("^[A-Za-z]{8}", ""), time.Hour, false, ""},
		{"nothing, so letters", id("^", ""), time.Hour, false, ""},
		{"a default", id("$session", "^[ab]"), time.Hour, false, "where none is given, there are 2 session ids only"},
		{"a default that is enough", id("$session", "^[a-z]{8}"), time.Hour, false, ""},
		{"a literal", id("abc", ""), time.Hour, false, ""}, // the settings warn of it
		{"lifetime 0", id("^[ab]", ""), 0, false, ""},
		{"not sent", id("^[ab]", ""), time.Hour, true, ""},
		{"not in the user name", []Parameter{{Name: "account", Value: "^[ab]", SessionID: true}}, time.Hour, false, ""},
		{"no id", []Parameter{{Name: "country", Value: "^de|fr"}}, time.Hour, false, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := Config{Lifetime: row.lifetime, Set: !row.unset, Account: &Account{Username: "user", Parameters: row.params}, Servers: []*Account{nil, nil}}
			got := mustCompile(t, cfg).Warnings()
			if row.want == "" && len(got) > 0 || row.want != "" && (len(got) != 1 || got[0].Doubt != FewPatternIDs || !strings.HasPrefix(got[0].Text, row.want)) {
				t.Errorf("got %v; want one that begins %q", got, row.want)
			}
		})
	}
}

// Servers that share a template give one warning, and a template that is not in use none.
func TestWarningsComeOnce(t *testing.T) {
	cfg := Config{Set: true, Servers: []*Account{nil, nil, {Username: "own"}}, Account: &Account{Template: &Template{Username: "{session}"}}}
	if got := mustCompile(t, cfg).Warnings(); len(got) != 1 {
		t.Errorf("got %v; want one", got)
	}
	cfg.Set, cfg.Servers = false, cfg.Servers[:2]
	if got := mustCompile(t, cfg).Warnings(); !slices.Equal(got, nil) {
		t.Errorf("got %v; want none", got)
	}
}
