package credential

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// What a template makes of a session and a client.
func TestTemplate(t *testing.T) {
	for _, row := range []struct {
		name           string
		user, password string // of the template
		given          []Pair // parameters of the session
		client         []Pair // of the client
		want           string
	}{
		{"empty: the account's", "", "", nil, nil, "user:pw"},
		{"the session in the user name", "{username}-session-{session}", "", nil, nil, "user-session-S:pw"},
		{"in the password", "", "{password}_session-{session}_lifetime-{ttl}", nil, nil, "user:pw_session-S_lifetime-60"},
		{"in both", "{session}", "{session}.{username}", nil, nil, "S:S.user"},
		{"no account", "fixed={session}", "key", nil, nil, "fixed=S:key"},
		{"a colon in the password", "", "a:{password}:", nil, nil, "user:a:pw:"},
		{"letters of any script", "ü{session}", "", nil, nil, "üS:pw"},

		{"a parameter given", "{username};{param:cc}", "", []Pair{{"cc", "de"}}, nil, "user;de:pw"},
		{"of the client", "{username};{param:cc}", "", []Pair{{"cc", "de"}}, []Pair{{"cc", "fr"}}, "user;fr:pw"},
		{"not given", "{username};{param:cc};", "", nil, nil, "user;;:pw"},
		{"not given, default", "{username};{param:cc|any}", "", nil, nil, "user;any:pw"},
		{"given, the default unused", "{username};{param:cc|any}", "", []Pair{{"cc", "de"}}, nil, "user;de:pw"},
		{"in the password too", "", "{password}[;{param:cc}]", nil, []Pair{{"cc", "fr"}}, "user:pw;fr"},
		{"names are the same in any case", "{username}{param:cc}", "", []Pair{{"CC", "de"}}, nil, "userde:pw"},

		{"a group stays", "{username}[;{param:cc}];{session}", "", []Pair{{"cc", "de"}}, nil, "user;de;S:pw"},
		{"a group vanishes", "{username}[;{param:cc}];{session}", "", nil, nil, "user;S:pw"},
		{"one of two in it is empty", "{username}[;{param:cc};{param:city}].", "", []Pair{{"cc", "de"}}, nil, "user.:pw"},
		{"groups side by side", "[{param:a}][{param:b}][{param:c}]", "", []Pair{{"a", "1"}, {"c", "3"}}, nil, "13:pw"},
		{"the first and the last", "[{param:a};]x[;{param:b}]", "", nil, nil, "x:pw"},

		{"doubled braces and brackets", "{{username}}[[{session}]]", "", nil, nil, "{username}[S]:pw"},
		{"in a group", "[[[{session}]]]", "", nil, nil, "[S]:pw"},
		{"a brace behind a placeholder", "{session}}}", "", nil, nil, "S}:pw"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := templateAccounts(t, Template{Username: row.user, Password: row.password}, time.Hour)
			checkSent(t, a, session(t, a, row.given...).with(row.client...), row.want)
		})
	}
}

func TestTemplateFaults(t *testing.T) {
	for _, row := range []struct {
		name     string
		template Template
		want     string // how the error begins
	}{
		{"unknown placeholder", Template{Username: "üa{sesion}"}, "template of the user name: at character 3: no placeholder; allowed are {username}"},
		{"placeholders are told apart by case", Template{Username: "{Session}"}, "template of the user name: at character 1: no placeholder"},
		{"no placeholder at all", Template{Password: "a{}"}, "template of the password: at character 2: no placeholder"},
		{"the password in the user name", Template{Username: "{password}"}, "template of the user name: at character 1: no placeholder"},
		{"a parameter without a name", Template{Username: "{param:}"}, "template of the user name: at character 1: a parameter's name"},
		{"a default that breaks out", Template{Username: "{param:a|b:c}"}, "template of the user name: at character 1: a parameter's name"},
		{"open placeholder", Template{Username: "a{session"}, "template of the user name: at character 2: the placeholder does not end"},
		{"closing brace", Template{Username: "a}b"}, "template of the user name: at character 2: a closing brace"},
		{"open group", Template{Username: "ab[{session}"}, "template of the user name: at character 3: the group does not end"},
		{"a group that ends in a doubled bracket", Template{Username: "[{session}]]"}, "template of the user name: at character 1: the group does not end"},
		{"closing bracket", Template{Username: "a]b"}, "template of the user name: at character 2: a closing bracket"},
		{"nested groups", Template{Username: "[a[{session}]b]"}, "template of the user name: at character 3: a group inside a group"},
		{"a group without a placeholder", Template{Username: "[ab]"}, "template of the user name: at character 4: the group that ends here has no placeholder"},
		{"an empty group", Template{Username: "[]"}, "template of the user name: at character 2: the group that ends here has no placeholder"},
		{"a colon in the user name", Template{Username: "a:{session}"}, "template of the user name: at character 2: a user name cannot hold a colon"},
		{"a line end", Template{Password: "a\n"}, "template of the password: at character 2: control characters"},
		{"no UTF-8", Template{Password: "\xff"}, "template of the password: at character 1: control characters"},
		{"too long", Template{Password: strings.Repeat("x", maxTemplate+1)}, "template of the password: is longer than 1024 bytes"},

		{"one character", Template{SessionAlphabet: "a"}, `alphabet of session ids: value "a": must be two or more`},
		{"a range that goes down", Template{SessionAlphabet: "z-a"}, `alphabet of session ids: value "z-a": "z-a" is no range`},
		{"a range over kinds", Template{SessionAlphabet: "0-9A-z"}, `alphabet of session ids: value "0-9A-z": "A-z" is no range`},
		{"other characters", Template{SessionAlphabet: "ab:"}, `alphabet of session ids: value "ab:": must be two or more`},
		{"a byte that is none", Template{SessionAlphabet: "ab\xff"}, `alphabet of session ids: value "ab\xff": must be two or more`},
		{"a separator", Template{Username: "{username}-{session}", SessionAlphabet: "a-z-"}, `alphabet of session ids: value "a-z-": holds a character that the template has`},
		{"length", Template{SessionLength: 65}, "length of session ids: value 65: must be 1 to 64"},
		{"negative length", Template{SessionLength: -1}, "length of session ids: value -1: must be 1 to 64"},
		{"unit", Template{TTLUnit: "h"}, `unit of the lifetime: value "h": must be s, m or suffixed`},
		{"negative bound", Template{TTLMin: -time.Minute}, "least lifetime: value -1m0s: must be whole units of 1m0s"},
		{"half a minute", Template{TTLMax: 90 * time.Second}, "greatest lifetime: value 1m30s: must be whole units of 1m0s"},
		{"bounds the other way round", Template{TTLMin: time.Hour, TTLMax: time.Minute}, "least lifetime: value 1h0m0s: must not be more than the greatest lifetime, 1m0s"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Compile(Config{Account: &Account{Template: &row.template}})
			if err == nil || !strings.HasPrefix(err.Error(), row.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v; want one fault that begins with %q", err, row.want)
			}
		})
	}
}

// A fault says at which server it is, and no fault shows what could be a password.
func TestTemplateFaultOfServer(t *testing.T) {
	_, err := Compile(Config{Servers: []*Account{nil, {Template: &Template{Password: "se{cret}"}}}})
	if err == nil || !strings.HasPrefix(err.Error(), "server 1: template of the password: at character 3: ") || strings.Contains(err.Error(), "cret}") {
		t.Errorf("got %v; want the server, the field and the place only", err)
	}
}

func TestTemplateBesideParameters(t *testing.T) {
	_, err := Compile(Config{Account: &Account{Template: &Template{}, Parameters: []Parameter{{Name: "a", Value: "b"}}}})
	if err == nil || !strings.HasPrefix(err.Error(), "template: stands beside parameters of the user name") {
		t.Errorf("got %v; want a fault", err)
	}
}

// A value that could be read as something else: an error for who calls /session/new, not given in a user name.
func TestTemplateValues(t *testing.T) {
	const user = "{username}-cc-{param:cc|none}.x"
	for _, row := range []struct {
		value string
		legal bool
	}{
		{"new_york", true}, {"a~b,c+d", true}, {"09azAZ", true},
		{"us-session-x", false}, {"a.b", false}, // the template's own
		{"a b", false}, {"a;b", false}, {"a=b", false}, {"é", false}, {"a[b", false},
	} {
		a := templateAccounts(t, Template{Username: user}, time.Hour)
		err := a.Check([]Pair{{"other", "a b"}, {"cc", row.value}})
		if (err == nil) != row.legal || err != nil && !strings.Contains(err.Error(), `must be letters, digits and _~,+`) {
			t.Errorf("given %q: got error %v; want legal %v", row.value, err, row.legal)
		}
		want := "user-cc-none.x"
		if row.legal {
			want = "user-cc-" + row.value + ".x"
		}
		b := Binding{Own: []Pair{{"cc", row.value}}, Alone: true}
		if got, _, _ := a.Credentials(nil, 0, b); got != want {
			t.Errorf("client with %q: got %q; want %q", row.value, got, want)
		}
	}
}

// Nothing is allocated for a request, not even where each client connection has credentials of its own.
func TestTemplateAllocatesNothing(t *testing.T) {
	a := templateAccounts(t, Template{Username: "{username}[-cc-{param:cc}]-{session}", Password: "{password}[_{ttl}]"}, time.Hour)
	b := session(t, a).with(Pair{"cc", "de"})
	buf := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() { _ = a.AppendLine(buf, nil, 0, b) }); n != 0 {
		t.Errorf("%v allocations; want none", n)
	}
}

// A server without a template or parameters of its own takes the mapping's template, with its own account.
func TestTemplateOfServers(t *testing.T) {
	mapping := Template{Username: "{username}-{session}", Password: "{password}.{session}"}
	for _, row := range []struct {
		name   string
		set    bool
		server *Account
		want   string
	}{
		{"none of its own", true, nil, "user-S:pw.S"},
		{"none, not set", false, nil, ""},
		{"an account", true, &Account{Username: "own", Password: "o"}, "own-S:o.S"},
		{"an account, the mapping's is not set", false, &Account{Username: "own", Password: "o"}, "own-S:o.S"},
		{"a template", true, &Account{Username: "own", Password: "o", Template: &Template{Username: "sid={session}"}}, "sid=S:o"},
		{"a template and no user name", true, &Account{Password: "o", Template: &Template{Username: "sid={session}"}}, "sid=S:o"},
		{"parameters", true, &Account{Username: "own", Password: "o", Parameters: []Parameter{{Name: "sid", Value: "^x", SessionID: true}}}, "own-sid-S:o"},
	} {
		p := mustCompile(t, Config{
			Lifetime: time.Hour, Set: row.set, Servers: []*Account{row.server},
			Account: &Account{Username: "user", Password: "pw", Template: &mapping},
		})
		p.id.draw = draws(t, "S")
		checkSent(t, p, session(t, p), row.want)
	}
}

func TestExample(t *testing.T) {
	for _, row := range []struct {
		name, password string // of the template
		want           string
	}{
		{"c-{username}-s-{session}", "", "c-s***t-s-S:***"},
		{"", "{password}_{session}", "s***t:***_S"},
		{"", "written-{session}", "s***t:***"},
	} {
		p := mustCompile(t, Config{
			Lifetime: time.Hour, Set: true, Servers: []*Account{nil},
			Account: &Account{Username: "somebodys-account", Password: "secret", Template: &Template{Username: row.name, Password: row.password}},
		})
		if p.id.draw != nil {
			p.id.draw = draws(t, "S")
		}
		if user, password, ok := p.Example(0); !ok || user+":"+password != row.want {
			t.Errorf("%q, %q: got %s:%s, %v; want %s", row.name, row.password, user, password, ok, row.want)
		}
	}
	if _, _, ok := mustCompile(t, Config{Servers: []*Account{nil}}).Example(0); ok {
		t.Error("there is an example where nothing is set")
	}
}

var placeholders = regexp.MustCompile(`\{param:[^}]*\}`)

// defaults counts a character in the placeholders of a template.
func defaults(user string, mark rune) (n int) {
	for _, p := range placeholders.FindAllString(user, -1) {
		n += strings.Count(p, string(mark))
	}
	return n
}

// Whatever the template and the parameters are, a plan is refused or its user names have no colon, and the value of a
// parameter brings in nothing that the template has between its placeholders.
func FuzzTemplate(f *testing.F) {
	f.Add("{username}-session-{session}[-cc-{param:cc}]", "{password}", "us", "de")
	f.Add("[[{param:cc|any}]]{{}}", "{ttl}[{param:cc}_{session}]", "us-session-x", "a b")
	f.Add("[a", "]b{", "", ":")
	f.Fuzz(func(t *testing.T, user, password, given, own string) {
		p, err := Compile(Config{
			Lifetime: time.Hour, Set: true, ParseParameters: true, Servers: []*Account{nil},
			Account: &Account{Username: "user", Password: "pw", Template: &Template{Username: user, Password: password}},
		})
		if err != nil {
			return
		}
		b := Binding{ID: p.ID(nil, nil, nil), Lifetime: time.Hour}
		if IsClean(given) && p.Check([]Pair{{"cc", given}}) == nil {
			b.Given = []Pair{{"cc", given}}
		}
		for _, b := range []Binding{b, b.with(Pair{"cc", own})} {
			got, pass, ok := p.Credentials(nil, 0, b)
			if !ok || !IsClean(got) || !isPrintable(pass) {
				t.Fatalf("got %q and %q; want no colon in the user name and no control characters", got, pass)
			}
			for _, mark := range "-_.~,+;=@ " {
				n := strings.Count(placeholders.ReplaceAllString(user, ""), string(mark))
				if n > 0 && strings.Count(got, string(mark)) > n+defaults(user, mark) {
					t.Fatalf("%q made %q: a value brought in a %q", user, got, mark)
				}
			}
		}
	})
}
