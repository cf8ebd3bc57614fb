package session

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// now is the moment at which these tests take place.
const now = int64(1_781_107_783_000_000_000) // Wed, 10 Jun 2026 16:09:43 GMT

// counting compiles every pattern to pattern1, pattern2, …: what is drawn, and how often, can be seen.
func counting() func(string) (func() string, error) {
	return func(pattern string) (func() string, error) {
		var n atomic.Int64
		n.Store(-1) // NewPlan tries each generator once
		return func() string { return fmt.Sprintf("%s%d", pattern, n.Add(1)) }, nil
	}
}

func mustPlan(t testing.TB, cfg PlanConfig) *Plan {
	t.Helper()
	if cfg.Compile == nil {
		cfg.Compile = counting()
	}
	p, err := NewPlan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// userOf decodes a credentials line.
func userOf(t testing.TB, line []byte) string {
	t.Helper()
	s, ok := strings.CutPrefix(string(line), "Proxy-Authorization: Basic ")
	s, end := strings.CutSuffix(s, "\r\n")
	b, err := base64.StdEncoding.DecodeString(s)
	if !ok || !end || err != nil {
		t.Fatalf("got %q; want a field line with Basic credentials", line)
	}
	return string(b)
}

// How a user name is composed: reference rows are named for the sentence that they are about.
func TestUserName(t *testing.T) {
	id := Parameter{Name: "session", Value: "^id", SessionID: true}
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
		{"$session with a ^regex default", []Parameter{{Name: "session", Value: "$session", Default: "^id", SessionID: true}}, nil, "user-session-id1"},
		{"literal id", []Parameter{{Name: "session", Value: "fixed", SessionID: true}}, nil, "user-session-fixed"},
		{"the id is drawn once for all its parameters", []Parameter{id, {Name: "sid", Value: "^other", SessionID: true}}, nil, "user-session-id1-sid-id1"},
		{"$sessTime given", []Parameter{id, {Name: "sessTime", Value: "$sessTime", Default: "10", SessionTime: true}}, []Pair{{"sessTime", "30"}}, "user-session-id1-sessTime-30"},
		{"given parameters do not stand there by themselves", []Parameter{id}, []Pair{{"country", "us"}}, "user-session-id1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := mustPlan(t, PlanConfig{
				Lifetime: time.Minute, Set: true, Servers: []*Account{nil},
				Account: &Account{Username: "user", Password: "p:w", Parameters: row.params},
			})
			s, err := p.New(now, nil, row.given)
			if err != nil {
				t.Fatal(err)
			}
			if got := userOf(t, p.AppendCredentials(nil, s, 0, nil)); got != row.want+":p:w" {
				t.Errorf("got %q; want %q", got, row.want+":p:w")
			}
			if line := s.Line(0); line != nil && userOf(t, line) != row.want+":p:w" {
				t.Errorf("the ready line has %q; want %q", userOf(t, line), row.want+":p:w")
			}
		})
	}
}

// The example that the settings' documentation gives.
func TestDocumentedExample(t *testing.T) {
	p := mustPlan(t, PlanConfig{
		Lifetime: time.Minute, Set: true, Servers: []*Account{nil},
		Compile: func(string) (func() string, error) { return func() string { return "LZpmRqdu" }, nil },
		Account: &Account{Username: "user", Password: "x", Parameters: []Parameter{
			{Name: "session", Value: "^[A-Za-z]{8}", SessionID: true}, {Name: "sessTime", Value: "10", SessionTime: true},
		}},
	})
	s, _ := p.New(now, nil, nil)
	if got := userOf(t, s.Line(0)); got != "user-session-LZpmRqdu-sessTime-10:x" {
		t.Errorf("got %q", got)
	}
	if s.ID() != "LZpmRqdu" || s.Lifetime() != 10*time.Minute || s.Expires() != now+int64(10*time.Minute) {
		t.Errorf("got id %q, lifetime %v; want the time from the parameter, not from the plan", s.ID(), s.Lifetime())
	}
}

func TestWhichCredentials(t *testing.T) {
	own := &Account{Username: "own", Password: "o", Parameters: []Parameter{{Name: "sid", Value: "^x", SessionID: true}}}
	bare := &Account{Username: "bare", Password: "b"}
	mapping := &Account{Username: "user", Password: "u", Parameters: []Parameter{{Name: "session", Value: "^id", SessionID: true}}}
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
			p := mustPlan(t, PlanConfig{Lifetime: time.Minute, Account: mapping, Set: row.set, Servers: []*Account{row.server}})
			s, _ := p.New(now, nil, nil)
			if p.Sets(0) != (row.want != "") {
				t.Errorf("Sets is %v", p.Sets(0))
			}
			if row.want == "" {
				if s.Line(0) != nil || p.AppendCredentials(nil, s, 0, nil) != nil {
					t.Error("there are credentials; want none")
				}
				return
			}
			if got := userOf(t, s.Line(0)); got != row.want {
				t.Errorf("got %q; want %q", got, row.want)
			}
		})
	}
}

// What is random and not the session's id is drawn anew for each connection.
func TestDrawnPerConnection(t *testing.T) {
	p := mustPlan(t, PlanConfig{
		Lifetime: time.Minute, Set: true, Servers: []*Account{nil},
		Account: &Account{Username: "user", Parameters: []Parameter{
			{Name: "session", Value: "^id", SessionID: true}, {Name: "rnd", Value: "^r"}, {Name: "d", Value: "$d", Default: "^d"},
		}},
	})
	s, _ := p.New(now, nil, nil)
	if s.Line(0) != nil {
		t.Fatal("there is a ready line; want one for each connection")
	}
	for n := 1; n <= 2; n++ {
		want := fmt.Sprintf("user-session-id1-rnd-r%d-d-d%d:", n, n)
		if got := userOf(t, p.AppendCredentials(nil, s, 0, nil)); got != want {
			t.Errorf("got %q; want %q", got, want)
		}
	}
}

func TestIDWithoutParameter(t *testing.T) {
	p := mustPlan(t, PlanConfig{Lifetime: time.Minute, Set: true, Account: &Account{Username: "user"}, Servers: []*Account{nil}})
	a, _ := p.New(now, nil, nil)
	b, _ := p.New(now, nil, nil)
	if !regexp.MustCompile(`^[A-Za-z]{8}$`).MatchString(a.ID()) || a.ID() == b.ID() {
		t.Errorf("ids are %q and %q; want 8 letters each, not the same", a.ID(), b.ID())
	}
	if got := userOf(t, a.Line(0)); got != "user:" {
		t.Errorf("the user name is %q; want no id in it", got)
	}
}

func TestLifetimeZeroIsPerConnection(t *testing.T) {
	p := mustPlan(t, PlanConfig{Set: true, Servers: []*Account{nil}, Account: &Account{Username: "user", Parameters: []Parameter{
		{Name: "session", Value: "^id", SessionID: true},
	}}})
	if s, err := p.New(now, nil, nil); s != nil || err != nil {
		t.Fatalf("got %v, %v; want no session", s, err)
	}
	for n := 1; n <= 2; n++ {
		if got, want := userOf(t, p.AppendCredentials(nil, nil, 0, nil)), fmt.Sprintf("user-session-id%d:", n); got != want {
			t.Errorf("got %q; want %q", got, want)
		}
	}
}

func TestSessionTimeOverridesLifetime(t *testing.T) {
	for _, row := range []struct {
		plan  time.Duration
		value string
		given []Pair
		want  time.Duration
	}{
		{0, "5", nil, 5 * time.Minute},
		{time.Hour, "0", nil, 0},
		{time.Hour, "", nil, time.Hour},
		{time.Hour, "$t", nil, time.Hour},
		{time.Hour, "$t", []Pair{{"t", "7"}}, 7 * time.Minute},
		{time.Hour, "$t", []Pair{{"t", "0"}}, 0},
	} {
		p := mustPlan(t, PlanConfig{Lifetime: row.plan, Account: &Account{Parameters: []Parameter{{Name: "t", Value: row.value, SessionTime: true}}}})
		s, err := p.New(now, nil, row.given)
		if err != nil {
			t.Fatal(err)
		}
		if (s == nil) != (row.want == 0) || s != nil && s.Lifetime() != row.want {
			t.Errorf("%v, %q, %v: got %+v; want %v", row.plan, row.value, row.given, s, row.want)
		}
	}
}

// A pattern that makes minutes only now and then must not leave a port without a session.
func TestDrawnTimeThatIsNone(t *testing.T) {
	drawn := "5"
	p := mustPlan(t, PlanConfig{
		Lifetime: time.Hour, Account: &Account{Parameters: []Parameter{{Name: "t", Value: "^x", SessionTime: true}}},
		Compile: func(string) (func() string, error) { return func() string { return drawn }, nil },
	})
	drawn = "five"
	if s := NewSlot(p).Current(now, nil); s == nil || s.Lifetime() != time.Hour {
		t.Errorf("got %+v; want a session of the plan's lifetime", s)
	}
}

func TestPlanFaults(t *testing.T) {
	bad := func(string) (func() string, error) { return nil, fmt.Errorf("missing bracket") }
	colon := func(string) (func() string, error) { return func() string { return "a:b" }, nil }
	for _, row := range []struct {
		name    string
		account Account
		compile func(string) (func() string, error)
		want    string
	}{
		{"colon in the user name", Account{Username: "a:b"}, nil, "colon"},
		{"control character in the password", Account{Password: "a\r\nb"}, nil, "control characters"},
		{"no name", Account{Parameters: []Parameter{{Value: "x"}}}, nil, "token"},
		{"colon in a name", Account{Parameters: []Parameter{{Name: "a:b", Value: "x"}}}, nil, "token"},
		{"colon in a value", Account{Parameters: []Parameter{{Name: "a", Value: "x:y"}}}, nil, "colon"},
		{"control character in a default", Account{Parameters: []Parameter{{Name: "a", Value: "$x", Default: "\n"}}}, nil, "control character"},
		{"bad pattern", Account{Parameters: []Parameter{{Name: "a", Value: "^["}}}, bad, `parameter 0: Value: value "^[": not a regular expression that can be used: missing bracket`},
		{"pattern with a colon", Account{Parameters: []Parameter{{Name: "a", Value: "^x"}}}, colon, "makes strings with a colon"},
		{"time that is none", Account{Parameters: []Parameter{{Name: "a", Value: "ten", SessionTime: true}}}, nil, "whole minutes"},
		{"pattern that makes no time", Account{Parameters: []Parameter{{Name: "a", Value: "^x", SessionTime: true}}}, nil, `parameter 0: Value: value "^x": must be whole minutes`},
		{"default that makes no time", Account{Parameters: []Parameter{{Name: "a", Value: "$t", Default: "^x", SessionTime: true}}}, nil, `parameter 0: Default: value "^x": must be whole minutes`},
		{"time and id", Account{Parameters: []Parameter{{Name: "a", Value: "1", SessionTime: true, SessionID: true}}}, nil, "cannot both"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.compile == nil {
				row.compile = counting()
			}
			_, err := NewPlan(PlanConfig{Account: &row.account, Compile: row.compile})
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v; want an error that says %q", err, row.want)
			}
		})
	}
}

// Several faults are told together.
func TestPlanFaultsAreJoined(t *testing.T) {
	_, err := NewPlan(PlanConfig{Compile: counting(), Account: &Account{Username: "a:b", Parameters: []Parameter{{Name: "x y", Value: "a:b"}}}})
	if n := len(err.(interface{ Unwrap() []error }).Unwrap()); n != 3 {
		t.Errorf("got %d faults (%v); want 3", n, err)
	}
}

// Whatever a generator makes, a line ends where it should and has one colon before the password.
func FuzzParametersInLine(f *testing.F) {
	f.Add("us", "a=b&c=d", `{"UsernameParameters":{"a":1}}`)
	f.Add("a:b\r\n", "cc=%0d%0a", `{"UsernameParameters":{"cc":"\u0000"}}`)
	f.Fuzz(func(t *testing.T, drawn, query, body string) {
		p, err := NewPlan(PlanConfig{
			Lifetime: time.Minute, Set: true, Servers: []*Account{nil},
			Compile: func(string) (func() string, error) {
				tried := false
				return func() string {
					if !tried {
						tried = true
						return "fine"
					}
					return drawn
				}, nil
			},
			Account: &Account{Username: "user", Password: "pass", Parameters: []Parameter{
				{Name: "session", Value: "^x", SessionID: true}, {Name: "cc", Value: "$cc", Default: "^y"}, {Name: "a", Value: "$a"},
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		slot := NewSlot(p)
		api := API{Enabled: true, Domain: "portmapper"}
		answer := api.Answer(slot, &Request{
			Method: []byte("POST"), Path: []byte("/session/new"), Host: []byte("portmapper"), Query: []byte(query), Body: []byte(body),
		}, now)
		if strings.Count(string(answer.Fields), "\n") != strings.Count(string(answer.Fields), "\r\n") {
			t.Fatalf("fields hold a bare LF: %q", answer.Fields)
		}
		user := userOf(t, p.AppendCredentials(nil, slot.Current(now, nil), 0, nil))
		if name, password, _ := strings.Cut(user, ":"); password != "pass" || !clean(name) {
			t.Fatalf("got %q; want one colon, before the password, and no control characters", user)
		}
	})
}

func BenchmarkNewSession(b *testing.B) {
	p := mustPlan(b, PlanConfig{Lifetime: time.Minute, Set: true, Servers: []*Account{nil}, Account: &Account{Username: "user", Password: "x"}})
	b.ReportAllocs()
	for b.Loop() {
		_, _ = p.New(now, nil, nil)
	}
}

// Sessions of one moment end at different ones, and none after its lifetime.
func TestLifetimeJitter(t *testing.T) {
	const lifetime = 10 * time.Minute
	for _, row := range []struct {
		jitter int
		params []Parameter
		least  time.Duration
	}{
		{0, nil, lifetime},
		{20, nil, 8 * time.Minute},
		{90, nil, time.Minute},
		{50, []Parameter{{Name: "time", Value: "10", SessionTime: true}}, 5 * time.Minute},
	} {
		p := mustPlan(t, PlanConfig{Lifetime: lifetime, LifetimeJitter: row.jitter, Account: &Account{Parameters: row.params}})
		first, last := lifetime, time.Duration(0)
		for range 1000 {
			s, err := p.New(now, nil, nil)
			if err != nil || s.Lifetime() != lifetime {
				t.Fatalf("%d %%: lifetime %v, %v; want %v", row.jitter, s.Lifetime(), err, lifetime)
			}
			lives := time.Duration(s.Expires() - now)
			first, last = min(first, lives), max(last, lives)
		}
		spread := lifetime - row.least
		if first < row.least || last > lifetime || last-first < spread*9/10 {
			t.Errorf("%d %%: sessions live %v to %v; want %v to %v", row.jitter, first, last, row.least, lifetime)
		}
	}
	for _, jitter := range []int{-1, 91} {
		if _, err := NewPlan(PlanConfig{LifetimeJitter: jitter}); err == nil || !strings.Contains(err.Error(), "must be 0 to 90 percent") {
			t.Errorf("%d %%: got %v; want a fault", jitter, err)
		}
	}
}
