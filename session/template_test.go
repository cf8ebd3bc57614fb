package session

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// templatePlan is a plan of a template, on an account "user" with the password "pw", whose ids are all S.
func templatePlan(t testing.TB, template Template, lifetime time.Duration) *Plan {
	t.Helper()
	p := mustPlan(t, PlanConfig{
		Lifetime: lifetime, Set: true, ParseParameters: true, Servers: []*Account{nil},
		Account: &Account{Username: "user", Password: "pw", Template: &template},
	})
	p.id.draw = func() string { return "S" }
	return p
}

// What a template makes of a session and a client.
func TestTemplate(t *testing.T) {
	for _, row := range []struct {
		name           string
		user, password string // of the template
		given          string // parameters of /session/new
		client         string
		want           string
	}{
		{"empty: the account's", "", "", "", "", "user:pw"},
		{"the session in the user name", "{username}-session-{session}", "", "", "", "user-session-S:pw"},
		{"in the password", "", "{password}_session-{session}_lifetime-{ttl}", "", "", "user:pw_session-S_lifetime-60"},
		{"in both", "{session}", "{session}.{username}", "", "", "S:S.user"},
		{"no account", "fixed={session}", "key", "", "", "fixed=S:key"},
		{"a colon in the password", "", "a:{password}:", "", "", "user:a:pw:"},
		{"letters of any script", "ü{session}", "", "", "", "üS:pw"},

		{"a parameter given", "{username};{param:cc}", "", "cc=de", "", "user;de:pw"},
		{"of the client", "{username};{param:cc}", "", "cc=de", "me-cc-fr", "user;fr:pw"},
		{"not given", "{username};{param:cc};", "", "", "", "user;;:pw"},
		{"not given, default", "{username};{param:cc|any}", "", "", "", "user;any:pw"},
		{"given, the default unused", "{username};{param:cc|any}", "", "cc=de", "", "user;de:pw"},
		{"in the password too", "", "{password}[;{param:cc}]", "", "me-cc-fr", "user:pw;fr"},
		{"names are the same in any case", "{username}{param:cc}", "", "CC=de", "", "userde:pw"},

		{"a group stays", "{username}[;{param:cc}];{session}", "", "cc=de", "", "user;de;S:pw"},
		{"a group vanishes", "{username}[;{param:cc}];{session}", "", "", "", "user;S:pw"},
		{"one of two in it is empty", "{username}[;{param:cc};{param:city}].", "", "cc=de", "", "user.:pw"},
		{"groups side by side", "[{param:a}][{param:b}][{param:c}]", "", "a=1&c=3", "", "13:pw"},
		{"the first and the last", "[{param:a};]x[;{param:b}]", "", "", "", "x:pw"},

		{"doubled braces and brackets", "{{username}}[[{session}]]", "", "", "", "{username}[S]:pw"},
		{"in a group", "[[[{session}]]]", "", "", "", "[S]:pw"},
		{"a brace behind a placeholder", "{session}}}", "", "", "", "S}:pw"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := templatePlan(t, Template{Username: row.user, Password: row.password}, time.Hour)
			given, _ := queryParameters(row.given)
			var c *Client
			if row.client != "" {
				c = p.NewClient(row.client, "x")
			}
			s, err := p.New(now, c, given)
			if err != nil {
				t.Fatal(err)
			}
			user, password, _ := strings.Cut(row.want, ":")
			checkSent(t, p, s, c, user, password)
		})
	}
}

func TestTemplateFaults(t *testing.T) {
	for _, row := range []struct {
		name     string
		template Template
		want     string // how the error begins
	}{
		{"unknown placeholder", Template{Username: "üa{sesion}"}, "Template.Username: at character 3: no placeholder; allowed are {username}"},
		{"placeholders are told apart by case", Template{Username: "{Session}"}, "Template.Username: at character 1: no placeholder"},
		{"no placeholder at all", Template{Password: "a{}"}, "Template.Password: at character 2: no placeholder"},
		{"the password in the user name", Template{Username: "{password}"}, "Template.Username: at character 1: no placeholder"},
		{"a parameter without a name", Template{Username: "{param:}"}, "Template.Username: at character 1: a parameter's name"},
		{"a default that breaks out", Template{Username: "{param:a|b:c}"}, "Template.Username: at character 1: a parameter's name"},
		{"open placeholder", Template{Username: "a{session"}, "Template.Username: at character 2: the placeholder does not end"},
		{"closing brace", Template{Username: "a}b"}, "Template.Username: at character 2: a closing brace"},
		{"open group", Template{Username: "ab[{session}"}, "Template.Username: at character 3: the group does not end"},
		{"a group that ends in a doubled bracket", Template{Username: "[{session}]]"}, "Template.Username: at character 1: the group does not end"},
		{"closing bracket", Template{Username: "a]b"}, "Template.Username: at character 2: a closing bracket"},
		{"nested groups", Template{Username: "[a[{session}]b]"}, "Template.Username: at character 3: a group inside a group"},
		{"a group without a placeholder", Template{Username: "[ab]"}, "Template.Username: at character 4: the group that ends here has no placeholder"},
		{"an empty group", Template{Username: "[]"}, "Template.Username: at character 2: the group that ends here has no placeholder"},
		{"a colon in the user name", Template{Username: "a:{session}"}, "Template.Username: at character 2: a user name cannot hold a colon"},
		{"a line end", Template{Password: "a\n"}, "Template.Password: at character 2: control characters"},
		{"no UTF-8", Template{Password: "\xff"}, "Template.Password: at character 1: control characters"},
		{"too long", Template{Password: strings.Repeat("x", maxTemplate+1)}, "Template.Password: is longer than 1024 bytes"},

		{"one character", Template{SessionAlphabet: "a"}, `SessionAlphabet: value "a": must be two or more`},
		{"a range that goes down", Template{SessionAlphabet: "z-a"}, `SessionAlphabet: value "z-a": "z-a" is no range`},
		{"a range over kinds", Template{SessionAlphabet: "0-9A-z"}, `SessionAlphabet: value "0-9A-z": "A-z" is no range`},
		{"other characters", Template{SessionAlphabet: "ab:"}, `SessionAlphabet: value "ab:": must be two or more`},
		{"a byte that is none", Template{SessionAlphabet: "ab\xff"}, `SessionAlphabet: value "ab\xff": must be two or more`},
		{"a separator", Template{Username: "{username}-{session}", SessionAlphabet: "a-z-"}, `SessionAlphabet: value "a-z-": holds a character that the template has`},
		{"length", Template{SessionLength: 65}, "SessionLength: value 65: must be 1 to 64"},
		{"negative length", Template{SessionLength: -1}, "SessionLength: value -1: must be 1 to 64"},
		{"unit", Template{TTLUnit: "h"}, `TTLUnit: value "h": must be s, m or suffixed`},
		{"negative bound", Template{TTLMin: -time.Minute}, "TTLMin: value -1m0s: must be whole units of 1m0s"},
		{"half a minute", Template{TTLMax: 90 * time.Second}, "TTLMax: value 1m30s: must be whole units of 1m0s"},
		{"bounds the other way round", Template{TTLMin: time.Hour, TTLMax: time.Minute}, "TTLMin: value 1h0m0s: must not be more than TTLMax, 1m0s"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := NewPlan(PlanConfig{Account: &Account{Template: &row.template}})
			if err == nil || !strings.HasPrefix(err.Error(), row.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v; want one fault that begins with %q", err, row.want)
			}
		})
	}
}

// A fault says at which server it is, and no fault shows what could be a password.
func TestTemplateFaultOfServer(t *testing.T) {
	_, err := NewPlan(PlanConfig{Servers: []*Account{nil, {Template: &Template{Password: "se{cret}"}}}})
	if err == nil || !strings.HasPrefix(err.Error(), "server 1: Template.Password: at character 3: ") || strings.Contains(err.Error(), "cret}") {
		t.Errorf("got %v; want the server, the key and the place only", err)
	}
}

func TestTemplateBesideParameters(t *testing.T) {
	_, err := NewPlan(PlanConfig{Account: &Account{Template: &Template{}, Parameters: []Parameter{{Name: "a", Value: "b"}}}})
	if err == nil || !strings.HasPrefix(err.Error(), "Template: Template and UsernameParameters cannot both be set") {
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
		p := templatePlan(t, Template{Username: user}, time.Hour)
		slot := NewSlot(p)
		_, err := slot.Renew(now, []Pair{{"other", "a b"}, {"cc", row.value}})
		if (err == nil) != row.legal || err != nil && !strings.Contains(err.Error(), `must be letters, digits and _~,+`) {
			t.Errorf("/session/new with %q: got error %v; want legal %v", row.value, err, row.legal)
		}
		if strings.Contains(row.value, "-") {
			continue // a user name ends it there
		}
		want := "user-cc-none.x"
		if row.legal {
			want = "user-cc-" + row.value + ".x"
		}
		c := p.NewClient("me-cc-"+row.value, "")
		if got, _, _ := p.Credentials(nil, 0, c); got != want {
			t.Errorf("client with %q: got %q; want %q", row.value, got, want)
		}
	}
}

// The answer to a call with such a value is 400, and nothing has changed.
func TestTemplateValueRefusedByAPI(t *testing.T) {
	slot := NewSlot(templatePlan(t, Template{Username: "{username}-{param:cc}-{session}"}, time.Hour))
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
			Lifetime: time.Hour, Set: true, ParseParameters: row.parse, Servers: []*Account{nil},
			Account: &Account{Template: &Template{Username: row.user, Password: row.password}},
		})
		if got := NewSlot(p).Current(now, nil).Line(0) != nil; got != row.want {
			t.Errorf("%q, %q, parsed %v: a ready line is %v; want %v", row.user, row.password, row.parse, got, row.want)
		}
	}
}

// Nothing is allocated for a request, not even where each client connection has credentials of its own.
func TestTemplateAllocatesNothing(t *testing.T) {
	p := templatePlan(t, Template{Username: "{username}[-cc-{param:cc}]-{session}", Password: "{password}[_{ttl}]"}, time.Hour)
	slot, c := NewSlot(p), p.NewClient("me-cc-de", "")
	slot.Current(now, c)
	buf := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() { _ = p.AppendCredentials(buf, slot.Current(now, c), 0, c) }); n != 0 {
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
		p := mustPlan(t, PlanConfig{
			Lifetime: time.Hour, Set: row.set, Servers: []*Account{row.server},
			Account: &Account{Username: "user", Password: "pw", Template: &mapping},
		})
		p.id.draw = func() string { return "S" }
		user, password, _ := strings.Cut(row.want, ":")
		checkSent(t, p, NewSlot(p).Current(now, nil), nil, user, password)
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
		p := mustPlan(t, PlanConfig{
			Lifetime: time.Hour, Set: true, Servers: []*Account{nil},
			Account: &Account{Username: "somebodys-account", Password: "secret", Template: &Template{Username: row.name, Password: row.password}},
		})
		if p.id.draw != nil {
			p.id.draw = func() string { return "S" }
		}
		if user, password, ok := p.Example(0); !ok || user+":"+password != row.want {
			t.Errorf("%q, %q: got %s:%s, %v; want %s", row.name, row.password, user, password, ok, row.want)
		}
	}
	if _, _, ok := mustPlan(t, PlanConfig{Servers: []*Account{nil}}).Example(0); ok {
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
		p, err := NewPlan(PlanConfig{
			Lifetime: time.Hour, Set: true, ParseParameters: true, Servers: []*Account{nil},
			Account: &Account{Username: "user", Password: "pw", Template: &Template{Username: user, Password: password}},
		})
		if err != nil {
			return
		}
		s, err := p.New(now, nil, []Pair{{"cc", given}})
		if err != nil {
			s, _ = p.New(now, nil, nil)
		}
		for _, c := range []*Client{nil, p.NewClient("me-cc-"+own, "")} {
			got, pass, ok := p.Credentials(s, 0, c)
			if !ok || !clean(got) || !printable(pass) {
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
