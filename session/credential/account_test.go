package credential

import (
	"strings"
	"testing"
	"time"
)

// How a user name is composed: reference rows are named for the sentence that they are about.
func TestUserName(t *testing.T) {
	id := Parameter{Name: "session", Value: "^id1", SessionID: true}
	for _, row := range []struct {
		name   string
		params []Parameter
		given  []Pair
		want   string
	}{
		{"base alone", nil, nil, "user"},
		{"session and time in list order", []Parameter{id, {Name: "sessTime", Value: "10", SessionTime: true}}, nil, "user-session-id1-sessTime-10"},
		{"list order, the other way", []Parameter{{Name: "sessTime", Value: "10", SessionTime: true}, id}, nil, "user-sessTime-10-session-id1"},
		{"literal", []Parameter{{Name: "country", Value: "us"}, id}, nil, "user-country-us-session-id1"},
		{"empty literal is left out", []Parameter{{Name: "country"}, id}, nil, "user-session-id1"},
		{"account is never appended", []Parameter{{Name: "account", Value: "me"}, id}, nil, "user-session-id1"},
		{"$name given", []Parameter{{Name: "country", Value: "$cc"}}, []Pair{{"cc", "de"}}, "user-country-de"},
		{"$name not given, default", []Parameter{{Name: "country", Value: "$cc", Default: "us"}}, []Pair{{"other", "de"}}, "user-country-us"},
		{"$name given, default unused", []Parameter{{Name: "country", Value: "$cc", Default: "us"}}, []Pair{{"cc", "de"}}, "user-country-de"},
		{"$name given empty, default", []Parameter{{Name: "country", Value: "$cc", Default: "us"}}, []Pair{{"cc", ""}}, "user-country-us"},
		{"$name neither given nor default", []Parameter{{Name: "country", Value: "$cc"}}, nil, "user"},
		{"names are the same in any case", []Parameter{{Name: "country", Value: "$cc"}}, []Pair{{"CC", "de"}}, "user-country-de"},
		{"$session sets the id", []Parameter{{Name: "session", Value: "$session", SessionID: true}}, []Pair{{"session", "abc"}}, "user-session-abc"},
		{"$session with a ^regex default", []Parameter{{Name: "session", Value: "$session", Default: "^id1", SessionID: true}}, nil, "user-session-id1"},
		{"literal id", []Parameter{{Name: "session", Value: "fixed", SessionID: true}}, nil, "user-session-fixed"},
		{"the id is drawn once for all its parameters", []Parameter{id, {Name: "sid", Value: "^other", SessionID: true}}, nil, "user-session-id1-sid-id1"},
		{"$sessTime given", []Parameter{id, {Name: "sessTime", Value: "$sessTime", Default: "10", SessionTime: true}}, []Pair{{"sessTime", "30"}}, "user-session-id1-sessTime-30"},
		{"given parameters do not stand there by themselves", []Parameter{id}, []Pair{{"country", "us"}}, "user-session-id1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := mustCompile(t, Config{
				Lifetime: time.Minute, Set: true, Servers: []*Account{nil},
				Account: &Account{Username: "user", Password: "p:w", Parameters: row.params},
			})
			checkSent(t, p, session(t, p, row.given...), row.want+":p:w")
		})
	}
}

func TestWhichCredentials(t *testing.T) {
	own := &Account{Username: "own", Password: "o", Parameters: []Parameter{{Name: "sid", Value: "^x", SessionID: true}}}
	bare := &Account{Username: "bare", Password: "b"}
	mapping := &Account{Username: "user", Password: "u", Parameters: []Parameter{{Name: "session", Value: "^id1", SessionID: true}}}
	for _, row := range []struct {
		name   string
		set    bool
		server *Account
		want   string
	}{
		{"the mapping's", true, nil, "user-session-id1:u"},
		{"none", false, nil, ""},
		{"a server without a user name", true, &Account{Password: "x"}, "user-session-id1:u"},
		{"the server's, with its parameters, and the one id", true, own, "own-sid-id1:o"},
		{"the server's, not set", false, own, "own-sid-id1:o"},
		{"the server's, with the mapping's parameters", true, bare, "bare-session-id1:b"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := mustCompile(t, Config{Lifetime: time.Minute, Account: mapping, Set: row.set, Servers: []*Account{row.server}})
			if p.Sets(0) != (row.want != "") {
				t.Errorf("Sets is %v", p.Sets(0))
			}
			checkSent(t, p, session(t, p), row.want)
		})
	}
}

func TestPlanFaults(t *testing.T) {
	for _, row := range []struct {
		name    string
		account Account
		want    string
	}{
		{"colon in the user name", Account{Username: "a:b"}, "colon"},
		{"control character in the password", Account{Password: "a\r\nb"}, "control characters"},
		{"no name", Account{Parameters: []Parameter{{Value: "x"}}}, "token"},
		{"colon in a name", Account{Parameters: []Parameter{{Name: "a:b", Value: "x"}}}, "token"},
		{"colon in a value", Account{Parameters: []Parameter{{Name: "a", Value: "x:y"}}}, "colon"},
		{"control character in a default", Account{Parameters: []Parameter{{Name: "a", Value: "$x", Default: "\n"}}}, "control character"},
		{"bad pattern", Account{Parameters: []Parameter{{Name: "a", Value: "^["}}}, `parameter 0: value: value "^[": not a regular expression that can be used: error parsing regexp: missing closing ]`},
		{"pattern with a colon", Account{Parameters: []Parameter{{Name: "a", Value: "^a:b"}}}, "makes strings with a colon"},
		{"time that is none", Account{Parameters: []Parameter{{Name: "a", Value: "ten", SessionTime: true}}}, "whole minutes"},
		{"pattern that makes no time", Account{Parameters: []Parameter{{Name: "a", Value: "^x", SessionTime: true}}}, `parameter 0: value: value "^x": must be whole minutes`},
		{"default that makes no time", Account{Parameters: []Parameter{{Name: "a", Value: "$t", Default: "^x", SessionTime: true}}}, `parameter 0: default: value "^x": must be whole minutes`},
		{"time and id", Account{Parameters: []Parameter{{Name: "a", Value: "1", SessionTime: true, SessionID: true}}}, "cannot be both"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Compile(Config{Account: &row.account})
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v; want an error that says %q", err, row.want)
			}
		})
	}
}

// Several faults are told together.
func TestPlanFaultsAreJoined(t *testing.T) {
	_, err := Compile(Config{Account: &Account{Username: "a:b", Parameters: []Parameter{{Name: "x y", Value: "a:b"}}}})
	if n := len(err.(interface{ Unwrap() []error }).Unwrap()); n != 3 {
		t.Errorf("got %d faults (%v); want 3", n, err)
	}
}
