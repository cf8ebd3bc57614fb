package ctl

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// askHealth runs a health command, and returns what it prints, and its error.
func askHealth(t *testing.T, settings func(string) (*Relay, error), args ...string) (out string, err error) {
	t.Helper()
	var command Health
	parser, err := kong.New(&command, kong.Exit(func(int) { panic("it leaves") }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	err = ctx.Run(Env{&text, settings})
	return text.String(), err
}

// What the admin listener answers becomes one line, and an error unless it is 200.
func TestHealth(t *testing.T) {
	const token = "secret-0123456789"
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer "+token:
			http.Error(w, "send the token", http.StatusUnauthorized)
		case r.URL.Path == "/readyz":
			http.Error(w, "draining\nmissing 127.0.0.1:10201: others have it", http.StatusServiceUnavailable)
		default:
			fmt.Fprintln(w, r.URL.Path)
		}
	}))
	t.Cleanup(admin.Close)
	at := admin.Listener.Addr().String()
	settings := func(name string) (*Relay, error) {
		switch name {
		case "appsettings.json":
			return &Relay{Admin: netip.MustParseAddrPort(at), Token: token}, nil
		case "without.json":
			return &Relay{}, nil
		}
		return nil, fs.ErrNotExist
	}
	for _, row := range []struct {
		args    []string
		out     string
		errText string // in the error; empty: there is none
	}{
		{[]string{"--alive", "--config", "appsettings.json"}, at + ": /healthz\n", ""},
		{[]string{"--alive", "--admin", at, "--token", token}, at + ": /healthz\n", ""},
		{[]string{"--config", "appsettings.json"}, "", at + ": answers 503: draining; missing 127.0.0.1:10201: others have it"},
		{[]string{"--admin", at}, "", at + ": answers 401: send the token"},
		{[]string{"--admin", at, "--config", "appsettings.json"}, "", "answers 401"},                             // the settings' token is for their listener
		{[]string{"--alive", "--admin", at, "--token", token, "--config", "none.json"}, at + ": /healthz\n", ""}, // nothing is wanted of the file
		{[]string{"--config", "none.json"}, "", fs.ErrNotExist.Error()},
	} {
		out, err := askHealth(t, settings, row.args...)
		if out != row.out || (err == nil) != (row.errText == "") || err != nil && !strings.Contains(err.Error(), row.errText) {
			t.Errorf("%q: got %q, %v; want %q, %q", row.args, out, err, row.out, row.errText)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: its error has several lines: %q", row.args, err)
		}
	}
	for _, args := range [][]string{nil, {"--config", "without.json"}, {"--admin", "localhost"}} {
		_, err := askHealth(t, settings, args...)
		if _, ok := errors.AsType[*UsageError](err); !ok || !strings.Contains(err.Error(), "see proxymap health --help") {
			t.Errorf("%q: got %v; want to be told how it is used", args, err)
		}
	}
	admin.Close()
	if _, err := askHealth(t, settings, "--config", "appsettings.json"); err == nil || !strings.Contains(err.Error(), at+": cannot be asked") {
		t.Errorf("without a relay it says %v", err)
	}
}

// A hundred reasons have no room in a line, and none is cut in two.
func TestInOneLine(t *testing.T) {
	const reason = "missing 127.0.0.1:10201: others have it"
	got := inOneLine(strings.Repeat(reason+"\n", 100))
	if kept := strings.Count(got, reason); len(got) > shownAnswer+50 || kept < 2 || got != strings.Repeat(reason+"; ", kept)+fmt.Sprintf("and %d more", 100-kept) {
		t.Errorf("got %q", got)
	}
	if got := inOneLine(strings.Repeat("x", 2*shownAnswer)); len(got) != shownAnswer {
		t.Errorf("of a long line %d bytes are shown; want %d", len(got), shownAnswer)
	}
	if got := inOneLine(""); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}
