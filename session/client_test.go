package session

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"proxymap/session/credential"
)

// What parameters refer to in these tests. What is drawn is in capitals.
var (
	session  = credential.Parameter{Name: "session", Value: "$session", Default: "^ID", SessionID: true}
	sessTime = credential.Parameter{Name: "sessTime", Value: "$sessTime", Default: "10", SessionTime: true}
	country  = credential.Parameter{Name: "country", Value: "$cc", Default: "us"}
	city     = credential.Parameter{Name: "city", Value: "$city"}
)

// From the client's user name, the port's session and the settings to what goes upstream: rows are named for the
// sentence that they are about.
func TestClientParameters(t *testing.T) {
	own := func(params ...credential.Parameter) *credential.Account {
		return &credential.Account{Username: "own", Password: "pw", Parameters: params}
	}
	list := func(params ...credential.Parameter) []credential.Parameter { return params }
	long := strings.Repeat("x", credential.MaxValue)
	for _, row := range []struct {
		name    string
		params  []credential.Parameter
		server  *credential.Account
		zero    bool   // the plan has no lifetime
		whole   bool   // client user names are not split
		base    string // other than user
		given   []Pair // to /session/new
		before  string // client for which the port's session was made
		client  string // none: no credentials
		want    string
		id      string
		minutes int // 0: no session
	}{
		// The base, and the list's order.
		{name: "the client's account is not the base", client: "me", want: "user", minutes: 60},
		{name: "parameters that nothing refers to go nowhere", client: "me-cc-de", want: "user", minutes: 60},
		{name: "the settings' order, not the client's", params: list(country, city), client: "me-city-bonn-cc-de", want: "user-country-de-city-bonn", minutes: 60},
		{name: "account is never appended", params: list(credential.Parameter{Name: "account", Value: "$account"}, country), client: "me-cc-de", want: "user-country-de", minutes: 60},
		{name: "$account under another name", params: list(credential.Parameter{Name: "who", Value: "$account"}), client: "me-cc-de", want: "user-who-me", minutes: 60},
		{name: "$account is not what the client calls so", params: list(credential.Parameter{Name: "who", Value: "$account"}), client: "me-account-you", want: "user-who-me", minutes: 60},
		{name: "the server's user name, the mapping's parameters", params: list(country), server: own(), client: "me-cc-de", want: "own-country-de", minutes: 60},
		{name: "the server's user name and parameters", params: list(country), server: own(city), client: "me-cc-de-city-bonn", want: "own-city-bonn", minutes: 60},

		// Values.
		{name: "a literal is not the client's to change", params: list(credential.Parameter{Name: "country", Value: "us"}), client: "me-country-de", want: "user-country-us", minutes: 60},
		{name: "a ^regex is not the client's to change", params: list(credential.Parameter{Name: "rnd", Value: "^R"}), client: "me-rnd-x", want: "user-rnd-R", minutes: 60},
		{name: "$x of the client", params: list(country), client: "me-cc-de", want: "user-country-de", minutes: 60},
		{name: "$x of the session", params: list(country), given: []Pair{{Name: "cc", Value: "fr"}}, client: "me", want: "user-country-fr", minutes: 60},
		{name: "the client's before the session's", params: list(country), given: []Pair{{Name: "cc", Value: "fr"}}, client: "me-cc-de", want: "user-country-de", minutes: 60},
		{name: "one from the client, one from the session", params: list(country, city), given: []Pair{{Name: "city", Value: "lyon"}}, client: "me-cc-de", want: "user-country-de-city-lyon", minutes: 60},
		{name: "neither, Default", params: list(country), client: "me-other-x", want: "user-country-us", minutes: 60},
		{name: "neither, Default ^regex", params: list(credential.Parameter{Name: "a", Value: "$a", Default: "^R"}), client: "me", want: "user-a-R", minutes: 60},
		{name: "the client's before a Default ^regex", params: list(credential.Parameter{Name: "a", Value: "$a", Default: "^R"}), client: "me-a-b", want: "user-a-b", minutes: 60},
		{name: "neither and no Default: left out", params: list(city, country), client: "me", want: "user-country-us", minutes: 60},
		{name: "no credentials: Default", params: list(country), want: "user-country-us", minutes: 60},
		{name: "names are the same in any case", params: list(country), client: "me-CC-de", want: "user-country-de", minutes: 60},
		{name: "the first of two", params: list(country), client: "me-cc-de-cc-fr", want: "user-country-de", minutes: 60},
		{name: "what the client writes is not resolved again", params: list(country), client: "me-cc-$city-city-x", want: "user-country-$city", minutes: 60},
		{name: "nor drawn", params: list(country), client: "me-cc-^r", want: "user-country-^r", minutes: 60},
		{name: "not split: $x is never the client's", params: list(country, session), whole: true, client: "me-cc-de-session-abc", want: "user-country-us-session-ID", id: "ID", minutes: 60},

		// The session's id.
		{name: "$session makes the session", params: list(session), client: "me-session-abc", want: "user-session-abc", id: "abc", minutes: 60},
		{name: "no $session, Default", params: list(session), client: "me", want: "user-session-ID", id: "ID", minutes: 60},
		{name: "an unexpired session wins", params: list(session), before: "me-session-one", client: "me-session-two", want: "user-session-one", id: "one", minutes: 60},
		{name: "also over a client without credentials", params: list(session), before: "me-session-one", want: "user-session-one", id: "one", minutes: 60},
		{name: "also one from /session/new", params: list(session), given: []Pair{{Name: "session", Value: "one"}}, client: "me-session-two", want: "user-session-one", id: "one", minutes: 60},
		{name: "whatever name the SessionId parameter refers to", params: list(credential.Parameter{Name: "session", Value: "$sid", SessionID: true}), before: "me-sid-one", client: "me-sid-two", want: "user-session-one", id: "one", minutes: 60},
		{name: "another parameter that refers to it", params: list(session, credential.Parameter{Name: "s", Value: "$session", Default: "none"}), client: "me-session-two", before: "me-session-one", want: "user-session-one-s-none", id: "one", minutes: 60},
		{name: "no SessionId parameter, the id is not sent", params: list(country), client: "me-session-abc", want: "user-country-us", minutes: 60},
		{name: "a SessionId literal is not the client's to change", params: list(credential.Parameter{Name: "session", Value: "fix", SessionID: true}), client: "me-session-abc", want: "user-session-fix", id: "fix", minutes: 60},
		{name: "a SessionId ^regex neither", params: list(credential.Parameter{Name: "session", Value: "^ID", SessionID: true}), client: "me-session-abc", want: "user-session-ID", id: "ID", minutes: 60},
		{name: "another client's other parameters are not stored", params: list(session, country), before: "me-session-one-cc-de", client: "me", want: "user-session-one-country-us", id: "one", minutes: 60},
		{name: "each client has its own", params: list(session, country), before: "me-session-one-cc-de", client: "me-cc-fr", want: "user-session-one-country-fr", id: "one", minutes: 60},

		// The session's time.
		{name: "$sessTime makes the lifetime", params: list(session, sessTime), client: "me-sessTime-30", want: "user-session-ID-sessTime-30", id: "ID", minutes: 30},
		{name: "both", params: list(sessTime, session), client: "me-session-abc-sessTime-30", want: "user-sessTime-30-session-abc", id: "abc", minutes: 30},
		{name: "Default overrides the plan's lifetime", params: list(sessTime), client: "me", want: "user-sessTime-10", minutes: 10},
		{name: "no Default, the plan's", params: list(credential.Parameter{Name: "t", Value: "$t", SessionTime: true}), client: "me", want: "user", minutes: 60},
		{name: "an unexpired session's time wins", params: list(sessTime), before: "me-sessTime-20", client: "me-sessTime-30", want: "user-sessTime-20", minutes: 20},
		{name: "the lifetime 0 of the plan is overridden", params: list(sessTime), zero: true, client: "me-sessTime-30", want: "user-sessTime-30", minutes: 30},
		{name: "another parameter that refers to $sessTime", params: list(sessTime, credential.Parameter{Name: "t", Value: "$sessTime", Default: "none"}), before: "me-sessTime-20", client: "me-sessTime-30", want: "user-sessTime-20-t-none", minutes: 20},
		{name: "words are ignored", params: list(sessTime), client: "me-sessTime-ten", want: "user-sessTime-10", minutes: 10},
		{name: "fractions are ignored", params: list(sessTime), client: "me-sessTime-1.5", want: "user-sessTime-10", minutes: 10},
		{name: "more than a year is ignored", params: list(sessTime), client: "me-sessTime-525601", want: "user-sessTime-10", minutes: 10},
		{name: "a year is not", params: list(sessTime), client: "me-sessTime-525600", want: "user-sessTime-525600", minutes: 525600},
		{name: "a bad time leaves the id", params: list(session, sessTime), client: "me-sessTime-x-session-abc", want: "user-session-abc-sessTime-10", id: "abc", minutes: 10},
		{name: "a bad time without Default", params: list(credential.Parameter{Name: "t", Value: "$t", SessionTime: true}), client: "me-t-x", want: "user", minutes: 60},

		// Lifetime 0: the connection is the session.
		{name: "$session counts for the connection", params: list(session), zero: true, client: "me-session-abc", want: "user-session-abc"},
		{name: "for no other", params: list(session), zero: true, before: "me-session-one", client: "me-session-two", want: "user-session-two"},
		{name: "Default for the connection", params: list(session, country), zero: true, client: "me-cc-de", want: "user-session-ID-country-de"},
		{name: "no credentials", params: list(session, country), zero: true, want: "user-session-ID-country-us"},
		{name: "another parameter that refers to $session", params: list(session, credential.Parameter{Name: "s", Value: "$session"}), zero: true, client: "me-session-abc", want: "user-session-abc-s-abc"},
		{name: "the client's own lifetime 0", params: list(session, sessTime), client: "me-session-abc-sessTime-0", want: "user-session-abc-sessTime-0"},

		// Taking the user name apart.
		{name: "an odd tail is dropped", params: list(country, city), client: "me-cc-de-city", want: "user-country-de", minutes: 60},
		{name: "a dash at the end", params: list(country), client: "me-cc-", want: "user-country-us", minutes: 60},
		{name: "an empty value is not given", params: list(country, city), client: "me-cc--city-bonn", want: "user-country-us-city-bonn", minutes: 60},
		{name: "no account", params: list(country, credential.Parameter{Name: "who", Value: "$account"}), client: "-cc-de", want: "user-country-de", minutes: 60},
		{name: "the configured account with dashes", params: list(country), base: "cust-1-eu", client: "cust-1-eu-cc-de", want: "cust-1-eu-country-de", minutes: 60},
		{name: "the configured account alone", params: list(country, credential.Parameter{Name: "who", Value: "$account"}), base: "cust-cc", client: "cust-cc", want: "cust-cc-country-us-who-cust-cc", minutes: 60},
		{name: "not followed by a dash it is not the account", params: list(country), base: "a-cc", client: "a-ccx-de-cc-fr", want: "a-cc-country-fr", minutes: 60},
		{name: "another account, split at the first dash", params: list(country), base: "cust-1-eu", client: "cust-cc-de", want: "cust-1-eu-country-de", minutes: 60},

		// What a client sends must not break out.
		{name: "256 bytes are taken", params: list(country), client: "me-cc-" + long, want: "user-country-" + long, minutes: 60},
		{name: "257 are not", params: list(country, city), client: "me-cc-" + long + "x-city-bonn", want: "user-country-us-city-bonn", minutes: 60},
		{name: "an id of 257 neither", params: list(session), client: "me-session-" + long + "x", want: "user-session-ID", id: "ID", minutes: 60},
		{name: "32 parameters are read", params: list(country), client: "me" + strings.Repeat("-a-b", 31) + "-cc-de", want: "user-country-de", minutes: 60},
		{name: "a 33rd is not", params: list(country), client: "me" + strings.Repeat("-a-b", 32) + "-cc-de", want: "user-country-us", minutes: 60},
		{name: "a colon", params: list(country), client: "me-cc-a:b", want: "user-country-us", minutes: 60},
		{name: "a line end", params: list(country), client: "me-cc-a\r\nb", want: "user-country-us", minutes: 60},
		{name: "bytes that are not UTF-8 pass", params: list(country), client: "me-cc-\xe9", want: "user-country-\xe9", minutes: 60},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := PlanConfig{
				Lifetime: time.Hour, Set: true, ParseParameters: !row.whole, Servers: []*credential.Account{row.server},
				Account: &credential.Account{Username: "user", Password: "pw", Parameters: row.params},
			}
			if row.zero {
				cfg.Lifetime = 0
			}
			if row.base != "" {
				cfg.Account.Username = row.base
			}
			p := mustPlan(t, cfg)
			slot := NewSlot(p)
			if row.given != nil {
				if _, err := slot.Renew(now, row.given); err != nil {
					t.Fatal(err)
				}
			}
			if row.before != "" {
				slot.Current(now, p.NewClient(row.before, "x"))
			}
			var c *Client
			if row.client != "" {
				c = p.NewClient(row.client, "x")
			}
			s := slot.Current(now, c)
			checkSent(t, p, s, c, row.want, "pw")
			switch {
			case (s == nil) != (row.minutes == 0):
				t.Errorf("got session %+v; want minutes %d", s, row.minutes)
			case s == nil:
			case s.Lifetime() != time.Duration(row.minutes)*time.Minute || row.id != "" && s.ID() != row.id || s.ID() == "":
				t.Errorf("got id %q, lifetime %v; want %q, %d min", s.ID(), s.Lifetime(), row.id, row.minutes)
			case len(s.Parameters()) != len(row.given):
				t.Errorf("the session has parameters %v; want %v", s.Parameters(), row.given)
			}
		})
	}
}

// checkSent checks what goes to the first server, in each of the ways to ask for it. An empty user name stands for none.
func checkSent(t *testing.T, p *Plan, s *Session, c *Client, user, password string) {
	t.Helper()
	gotUser, gotPassword, ok := p.Credentials(s, 0, c)
	line := p.AppendCredentials([]byte("> "), s, 0, c)
	if user == "" {
		if ok || string(line) != "> " || s != nil && s.Line(0) != nil {
			t.Errorf("got %q:%q and %q; want no credentials", gotUser, gotPassword, line)
		}
		return
	}
	if !ok || gotUser != user || gotPassword != password {
		t.Errorf("got %q:%q, %v; want %q:%q", gotUser, gotPassword, ok, user, password)
	}
	if got := userOf(t, line[len("> "):]); got != user+":"+password {
		t.Errorf("the line has %q; want %q", got, user+":"+password)
	}
	if s != nil && s.Line(0) != nil && string(s.Line(0)) != string(line[len("> "):]) {
		t.Errorf("the ready line has %q; want %q", userOf(t, s.Line(0)), user+":"+password)
	}
}

// Whose credentials go upstream.
func TestWhichCredentialsWithClient(t *testing.T) {
	server := &credential.Account{Username: "own", Password: "o"}
	for _, row := range []struct {
		name           string
		set, remove    bool
		parse          bool
		server         *credential.Account
		client         bool
		user, password string
	}{
		{"the server's before all", true, true, true, server, true, "own-country-de", "o"},
		{"the server's though the client's are removed", false, true, true, server, true, "own-country-de", "o"},
		{"the server's, and the user name is not split", false, false, false, server, true, "own-country-us", "o"},
		{"ours", true, false, true, nil, true, "user-country-de", "u"},
		{"ours, Remove is ignored", true, true, true, nil, true, "user-country-de", "u"},
		{"ours, without a client's", true, false, true, nil, false, "user-country-us", "u"},
		{"removed", false, true, true, nil, true, "", ""},
		{"passed through", false, false, false, nil, true, "me-cc-de", "p:w"},
		{"passed through as they came, though split", false, false, true, nil, true, "me-cc-de", "p:w"},
		{"nothing to pass through", false, false, true, nil, false, "", ""},
		{"a server without a user name", false, false, true, &credential.Account{Password: "x"}, true, "me-cc-de", "p:w"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := mustPlan(t, PlanConfig{
				Lifetime: time.Hour, Set: row.set, Remove: row.remove, ParseParameters: row.parse, Servers: []*credential.Account{row.server},
				Account: &credential.Account{Username: "user", Password: "u", Parameters: []credential.Parameter{country}},
			})
			var c *Client
			if row.client {
				c = p.NewClient("me-cc-de", "p:w")
			}
			checkSent(t, p, NewSlot(p).Current(now, c), c, row.user, row.password)
			if ours := row.set || row.server != nil && row.server.Username != ""; p.Sets(0) != ours {
				t.Errorf("Sets is %v; want %v", p.Sets(0), ours)
			}
			if _, _, ok := p.Credentials(nil, 1, c); ok || p.AppendCredentials(nil, nil, 1, c) != nil {
				t.Error("there are credentials for a server that there is not")
			}
		})
	}
}

func TestAdmit(t *testing.T) {
	const long = credential.MaxCredentials - len("user")
	for _, row := range []struct {
		name                   string
		require, verify, parse bool
		account                string
		user, password         string // "none" is no credentials
		want                   Verdict
	}{
		{"nothing wanted, none", false, false, false, "user", "none", "", Admitted},
		{"nothing wanted, any", false, false, false, "user", "who", "ever", Admitted},
		{"required, none", true, false, false, "user", "none", "", Missing},
		{"required, any", true, false, false, "user", "who", "ever", Admitted},
		{"required, empty ones", true, false, false, "user", "", "", Admitted},
		{"verified, none, not required", false, true, false, "user", "none", "", Admitted},
		{"both, none", true, true, false, "user", "none", "", Missing},
		{"both, right", true, true, false, "user", "user", "p:w", Admitted},
		{"verified, right", false, true, false, "user", "user", "p:w", Admitted},
		{"verified, another user name", true, true, false, "user", "User", "p:w", Wrong},
		{"verified, another password", true, true, false, "user", "user", "p:W", Wrong},
		{"verified, the password up to its colon", true, true, false, "user", "user", "p", Wrong},
		{"verified, a longer password", true, true, false, "user", "user", "p:w ", Wrong},
		{"verified, no password", true, true, false, "user", "user", "", Wrong},
		{"verified, no user name", true, true, false, "user", "", "p:w", Wrong},
		{"verified, a byte that moved over", true, true, false, "user", "userp", ":w", Wrong},
		{"verified, empty ones", true, true, false, "user", "", "", Wrong},
		{"the whole user name, not split", true, true, false, "user", "user-cc-de", "p:w", Wrong},
		{"the account, split", true, true, true, "user", "user-cc-de", "p:w", Admitted},
		{"the account alone, split", true, true, true, "user", "user", "p:w", Admitted},
		{"another account, split", true, true, true, "user", "me-cc-de", "p:w", Wrong},
		{"the account and another password, split", true, true, true, "user", "user-cc-de", "x", Wrong},
		{"an account with dashes", true, true, true, "cust-1-eu", "cust-1-eu-cc-de", "p:w", Admitted},
		{"an account with dashes alone", true, true, true, "cust-1-eu", "cust-1-eu", "p:w", Admitted},
		{"only the first part of an account with dashes", true, true, true, "cust-1-eu", "cust-cc-de", "p:w", Wrong},
		{"an account with dashes and more", true, true, true, "cust-1-eu", "cust-1-eux", "p:w", Wrong},
		{"an account with dashes, not split", true, true, false, "cust-1-eu", "cust-1-eu", "p:w", Admitted},
		{"1024 bytes", false, false, false, "user", "user", strings.Repeat("x", long), Admitted},
		{"1025 bytes, though nothing is wanted", false, false, false, "user", "user", strings.Repeat("x", long+1), Wrong},
		{"a colon in the user name", false, false, false, "user", "us:er", "", Wrong},
		{"a control character in the user name", false, false, false, "user", "us\x00er", "", Wrong},
		{"anything in the password", false, false, false, "user", "user", "\x00\r\n:\xff", Admitted},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := mustPlan(t, PlanConfig{
				Require: row.require, Verify: row.verify, ParseParameters: row.parse, Servers: []*credential.Account{nil},
				Account: &credential.Account{Username: row.account, Password: "p:w"},
			})
			var c *Client
			if row.user != "none" {
				c = p.NewClient(row.user, row.password)
			}
			if got := p.Admit(c); got != row.want {
				t.Errorf("got %d; want %d", got, row.want)
			}
			if row.want != Admitted {
				checkSent(t, p, nil, c, "", "")
			}
		})
	}
}

func TestVerifyNeedsAUsername(t *testing.T) {
	for _, a := range []*credential.Account{nil, {Password: "x"}} {
		_, err := NewPlan(PlanConfig{Verify: true, Account: a})
		if err == nil || !strings.HasPrefix(err.Error(), "verifying of clients: needs a user name") {
			t.Errorf("got %v; want a fault of verifying", err)
		}
	}
}

// There is a ready line exactly where all connections of a session send the same.
func TestReadyLine(t *testing.T) {
	for _, row := range []struct {
		name   string
		parse  bool
		params []credential.Parameter
		want   bool
	}{
		{"nothing of the client's", true, []credential.Parameter{{Name: "a", Value: "b"}}, true},
		{"the id and the time alone", true, []credential.Parameter{session, sessTime}, true},
		{"what else refers to the id", true, []credential.Parameter{session, {Name: "s", Value: "$session"}}, true},
		{"something of the client's", true, []credential.Parameter{session, country}, false},
		{"the same, not split", false, []credential.Parameter{session, country}, true},
		{"the hidden account", true, []credential.Parameter{{Name: "account", Value: "$account"}}, true},
		{"something drawn", false, []credential.Parameter{{Name: "r", Value: "^r"}}, false},
	} {
		p := mustPlan(t, PlanConfig{
			Lifetime: time.Hour, Set: true, ParseParameters: row.parse, Servers: []*credential.Account{nil},
			Account: &credential.Account{Username: "user", Parameters: row.params},
		})
		if got := NewSlot(p).Current(now, p.NewClient("me-cc-de-session-abc", "")).Line(0) != nil; got != row.want {
			t.Errorf("%s: a ready line is %v; want %v", row.name, got, row.want)
		}
	}
}

// What is drawn is drawn anew for each connection, but for the id and what the client itself has named.
func TestDrawnBesideClient(t *testing.T) {
	p := mustPlan(t, PlanConfig{
		Lifetime: time.Hour, Set: true, ParseParameters: true, Servers: []*credential.Account{nil}, Account: &credential.Account{Username: "user", Parameters: []credential.Parameter{
			session, {Name: "rnd", Value: "^R[0-9]{8}"}, {Name: "d", Value: "$d", Default: "^D[0-9]{8}"},
		}},
	})
	slot, seen := NewSlot(p), map[string]bool{}
	for n, row := range []struct{ client, want string }{
		{"me", `user-session-ID-rnd-(R\d{8})-d-(D\d{8})`},
		{"me-d-x-session-abc", `user-session-ID-rnd-(R\d{8})-d-(x)`},
		{"me", `user-session-ID-rnd-(R\d{8})-d-(D\d{8})`},
	} {
		c := p.NewClient(row.client, "")
		got, _, _ := p.Credentials(slot.Current(now, c), 0, c)
		drawn := regexp.MustCompile("^" + row.want + "$").FindStringSubmatch(got)
		if drawn == nil || seen[drawn[1]] || seen[drawn[2]] {
			t.Errorf("connection %d: got %q; want %s, not drawn before", n, got, row.want)
			continue
		}
		seen[drawn[1]], seen[drawn[2]] = true, true
	}
}

// An expired session gives way to the client that comes next.
func TestClientMakesTheNextSession(t *testing.T) {
	p := mustPlan(t, PlanConfig{Lifetime: time.Hour, ParseParameters: true, Account: &credential.Account{Parameters: []credential.Parameter{session, sessTime}}})
	slot := NewSlot(p)
	one := slot.Current(now, p.NewClient("me-session-one-sessTime-5", ""))
	c := p.NewClient("me-session-two-sessTime-7", "")
	if slot.Current(one.Expires()-1, c) != one {
		t.Error("the session ended before its time")
	}
	if two := slot.Current(one.Expires(), c); two.ID() != "two" || two.Lifetime() != 7*time.Minute {
		t.Errorf("got %q for %v; want the second client's session", two.ID(), two.Lifetime())
	}
}

// The Session API makes a session for the client that asks, and shows what was made but not what was asked for. new is
// there to be rid of a session: the same id again would be none.
func TestAPIWithClient(t *testing.T) {
	p := mustPlan(t, PlanConfig{Lifetime: time.Hour, ParseParameters: true, Account: &credential.Account{Parameters: []credential.Parameter{session, sessTime, country}}})
	slot := NewSlot(p)
	ask := func(target string) string {
		r := call("GET", target)
		r.Client = p.NewClient("me-session-abc-sessTime-30-cc-de", "")
		return string(testAPI.Answer(slot, r, now).Body)
	}
	got := ask("/session/")
	if !strings.Contains(got, `"session_id": "abc"`) || !strings.Contains(got, `"session_time": 30`) || strings.Contains(got, "username_parameters") {
		t.Errorf("got %s; want the session that the client's user name makes, without parameters", got)
	}
	if got := ask("/session/new"); !strings.Contains(got, `"session_id": "ID"`) {
		t.Errorf("got %s; want another session", got)
	}
	if got := ask("/session/new?session=xyz"); !strings.Contains(got, `"session_id": "xyz"`) {
		t.Errorf("got %s; want the id that was asked for", got)
	}
}

// Whatever a client is called, the user name keeps its form and the Session API's answer too.
func FuzzClientUserName(f *testing.F) {
	f.Fuzz(func(t *testing.T, account, user, password string, zero bool) {
		cfg := PlanConfig{
			Lifetime: time.Hour, Set: true, Verify: true, ParseParameters: true, Servers: []*credential.Account{nil, {Username: "own"}},
			Account: &credential.Account{Username: account, Password: "pw", Parameters: []credential.Parameter{session, sessTime, country, {Name: "who", Value: "$account"}}},
		}
		if zero {
			cfg.Lifetime = 0
		}
		p, err := NewPlan(cfg)
		if err != nil {
			t.Skip("not what this is about: ", err)
		}
		c := p.NewClient(user, password)
		if right := password == "pw" && (user == account || strings.HasPrefix(user, account+"-")) && credential.IsHarmless(user) && len(user) < 1000; right && p.Admit(c) != Admitted {
			t.Fatalf("account %q refuses %q", account, user)
		}
		if p.Admit(c) == Admitted && (password != "pw" || !strings.HasPrefix(user, account)) {
			t.Fatalf("account %q lets in %q with %q", account, user, password)
		}
		slot := NewSlot(p)
		s := slot.Current(now, c)
		for server, base := range []string{account, "own"} {
			name := checkLine(t, p.AppendCredentials(nil, s, server, c))
			if want := base + "-session-"; !strings.HasPrefix(name, want) {
				t.Fatalf("got %q; want it to begin with %q", name, want)
			}
			if got, _, ok := p.Credentials(s, server, c); !ok || got != name {
				t.Fatalf("got %q; want %q in both forms", got, name)
			}
		}
		r := call("GET", "/session/")
		r.Client = c
		answer := testAPI.Answer(slot, r, now)
		if !json.Valid(answer.Body) || !utf8.Valid(answer.Body) || strings.Count(string(answer.Fields), "\n") != strings.Count(string(answer.Fields), "\r\n") {
			t.Fatalf("got fields %q and body %q; want whole lines and JSON", answer.Fields, answer.Body)
		}
	})
}

func BenchmarkClient(b *testing.B) {
	p := mustPlan(b, PlanConfig{Verify: true, ParseParameters: true, Account: &credential.Account{Username: "user", Password: "pw"}})
	value := fmt.Appendf(nil, "Basic %s", base64.StdEncoding.EncodeToString([]byte("user-cc-de-session-abc:pw")))
	b.ReportAllocs()
	for b.Loop() {
		user, password, _ := credential.ParseBasic(value)
		if p.Admit(p.NewClient(user, password)) != Admitted {
			b.Fatal("not admitted")
		}
	}
}

// checkLine checks that nothing breaks out of a field line, nor out of the user name in it, and returns the user name.
func checkLine(t *testing.T, line []byte) (user string) {
	user, _, found := strings.Cut(userOf(t, line), ":")
	if !found || !credential.IsHarmless(user) || !credential.IsHarmless(strings.Replace(string(line[:len(line)-2]), ":", "", 1)) {
		t.Fatalf("got %q of %q; want one line, and no control character in the user name", line, user)
	}
	return user
}
