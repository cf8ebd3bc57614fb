package credential

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"proxymap/session/credential/pattern"
)

func mustCompile(t testing.TB, cfg Config) *Accounts {
	t.Helper()
	a, err := Compile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// templateAccounts are those of a template, on an account "user" with the password "pw", whose ids are all S.
func templateAccounts(t testing.TB, template Template, lifetime time.Duration) *Accounts {
	t.Helper()
	a := mustCompile(t, Config{
		Lifetime: lifetime, Set: true, ParseParameters: true, Servers: []*Account{nil},
		Account: &Account{Username: "user", Password: "pw", Template: &template},
	})
	a.id.draw = draws(t, "S")
	return a
}

// draws is a pattern that makes nothing but text.
func draws(t testing.TB, text string) *pattern.Pattern {
	t.Helper()
	p, err := pattern.Compile(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// session is what a session brings that was made with given parameters.
func session(t testing.TB, a *Accounts, given ...Pair) Binding {
	t.Helper()
	minutes, lifetime, err := a.Lifetime(nil, nil, given)
	if err == nil {
		err = a.Check(given)
	}
	if err != nil {
		t.Fatal(err)
	}
	return Binding{ID: a.ID(nil, nil, given), Minutes: minutes, Lifetime: lifetime, Given: given}
}

// with is a session's binding for a client with parameters of its own.
func (b Binding) with(own ...Pair) Binding {
	b.Own = own
	return b
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

// checkSent checks what goes to the first server: user:password, or nothing.
func checkSent(t *testing.T, a *Accounts, b Binding, want string) {
	t.Helper()
	user, password, ok := a.Credentials(nil, 0, b)
	line := a.AppendLine(nil, nil, 0, b)
	if want == "" {
		if ok || line != nil {
			t.Errorf("got %s:%s and line %q; want no credentials", user, password, line)
		}
		return
	}
	if user+":"+password != want || userOf(t, line) != want {
		t.Errorf("got %s:%s and line %s; want %s", user, password, userOf(t, line), want)
	}
}
