package session

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"time"

	"proxymap/session/credential"
)

// now is the moment at which these tests take place.
const now = int64(1_781_107_783_000_000_000) // Wed, 10 Jun 2026 16:09:43 GMT

func mustPlan(t testing.TB, cfg PlanConfig) *Plan {
	t.Helper()
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

// The example that the settings' documentation gives.
func TestDocumentedExample(t *testing.T) {
	p := mustPlan(t, PlanConfig{
		Lifetime: time.Minute, Set: true, Servers: []*credential.Account{nil},
		Account: &credential.Account{Username: "user", Password: "x", Parameters: []credential.Parameter{
			{Name: "session", Value: "^LZpmRqdu", SessionID: true}, {Name: "sessTime", Value: "10", SessionTime: true},
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

// What is random and not the session's id is drawn anew for each connection.
func TestDrawnPerConnection(t *testing.T) {
	p := mustPlan(t, PlanConfig{
		Lifetime: time.Minute, Set: true, Servers: []*credential.Account{nil},
		Account: &credential.Account{Username: "user", Parameters: []credential.Parameter{
			{Name: "session", Value: "^[a-z]{8}", SessionID: true}, {Name: "rnd", Value: "^[0-9]{8}"}, {Name: "d", Value: "$d", Default: "^[0-9]{8}"},
		}},
	})
	s, _ := p.New(now, nil, nil)
	if s.Line(0) != nil {
		t.Fatal("there is a ready line; want one for each connection")
	}
	form := regexp.MustCompile("^user-session-" + s.ID() + "-rnd-([0-9]{8})-d-([0-9]{8}):$")
	one := form.FindStringSubmatch(userOf(t, p.AppendCredentials(nil, s, 0, nil)))
	two := form.FindStringSubmatch(userOf(t, p.AppendCredentials(nil, s, 0, nil)))
	if one == nil || two == nil || one[1] == two[1] || one[2] == two[2] {
		t.Errorf("got %q and %q; want the same id, and the rest drawn anew", one, two)
	}
}

func TestIDWithoutParameter(t *testing.T) {
	p := mustPlan(t, PlanConfig{Lifetime: time.Minute, Set: true, Account: &credential.Account{Username: "user"}, Servers: []*credential.Account{nil}})
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
	p := mustPlan(t, PlanConfig{Set: true, Servers: []*credential.Account{nil}, Account: &credential.Account{Username: "user", Parameters: []credential.Parameter{
		{Name: "session", Value: "^[a-z]{8}", SessionID: true},
	}}})
	if s, err := p.New(now, nil, nil); s != nil || err != nil {
		t.Fatalf("got %v, %v; want no session", s, err)
	}
	form := regexp.MustCompile(`^user-session-[a-z]{8}:$`)
	one, two := userOf(t, p.AppendCredentials(nil, nil, 0, nil)), userOf(t, p.AppendCredentials(nil, nil, 0, nil))
	if !form.MatchString(one) || !form.MatchString(two) || one == two {
		t.Errorf("got %q and %q; want an id for each", one, two)
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
		{time.Hour, "$t", []Pair{{Name: "t", Value: "7"}}, 7 * time.Minute},
		{time.Hour, "$t", []Pair{{Name: "t", Value: "0"}}, 0},
	} {
		p := mustPlan(t, PlanConfig{Lifetime: row.plan, Account: &credential.Account{Parameters: []credential.Parameter{{Name: "t", Value: row.value, SessionTime: true}}}})
		s, err := p.New(now, nil, row.given)
		if err != nil {
			t.Fatal(err)
		}
		if (s == nil) != (row.want == 0) || s != nil && s.Lifetime() != row.want {
			t.Errorf("%v, %q, %v: got %+v; want %v", row.plan, row.value, row.given, s, row.want)
		}
	}
}

// A pattern that makes minutes only now and then must not leave a port without a session. Now and then it is refused.
func TestDrawnTimeThatIsNone(t *testing.T) {
	cfg := PlanConfig{Lifetime: time.Hour, Account: &credential.Account{Parameters: []credential.Parameter{{Name: "t", Value: "^5|five", SessionTime: true}}}}
	p, err := NewPlan(cfg)
	for err != nil {
		p, err = NewPlan(cfg)
	}
	seen := map[time.Duration]bool{}
	for len(seen) < 2 {
		s := NewSlot(p).Current(now, nil)
		if s == nil || s.Lifetime() != time.Hour && s.Lifetime() != 5*time.Minute {
			t.Fatalf("got %+v; want a session of 5 minutes or of the plan's lifetime", s)
		}
		seen[s.Lifetime()] = true
	}
}

// Whatever a pattern draws, a line ends where it should and has one colon before the password.
func FuzzParametersInLine(f *testing.F) {
	f.Add("us", "a=b&c=d", `{"UsernameParameters":{"a":1}}`)
	f.Add("a:b\r\n", "cc=%0d%0a", `{"UsernameParameters":{"cc":"\u0000"}}`)
	f.Fuzz(func(t *testing.T, expr, query, body string) {
		p, err := NewPlan(PlanConfig{
			Lifetime: time.Minute, Set: true, Servers: []*credential.Account{nil},
			Account: &credential.Account{Username: "user", Password: "pass", Parameters: []credential.Parameter{
				{Name: "session", Value: "^" + expr, SessionID: true}, {Name: "cc", Value: "$cc", Default: "^" + expr}, {Name: "a", Value: "$a"},
			}},
		})
		if err != nil {
			return // a pattern that cannot be drawn
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
		if name, password, _ := strings.Cut(user, ":"); password != "pass" || !credential.IsClean(name) {
			t.Fatalf("got %q; want one colon, before the password, and no control characters", user)
		}
	})
}

func BenchmarkNewSession(b *testing.B) {
	p := mustPlan(b, PlanConfig{Lifetime: time.Minute, Set: true, Servers: []*credential.Account{nil}, Account: &credential.Account{Username: "user", Password: "x"}})
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
		params []credential.Parameter
		least  time.Duration
	}{
		{0, nil, lifetime},
		{20, nil, 8 * time.Minute},
		{90, nil, time.Minute},
		{50, []credential.Parameter{{Name: "time", Value: "10", SessionTime: true}}, 5 * time.Minute},
	} {
		p := mustPlan(t, PlanConfig{Lifetime: lifetime, LifetimeJitter: row.jitter, Account: &credential.Account{Parameters: row.params}})
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
