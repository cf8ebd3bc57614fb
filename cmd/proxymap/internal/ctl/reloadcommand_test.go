package ctl

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// askReload runs a reload command, and returns what it prints, and its error.
func askReload(t *testing.T, settings func(string) (*Relay, error), args ...string) (out string, err error) {
	t.Helper()
	var command Reload
	parser, err := kong.New(&command, kong.Exit(func(int) { panic("it leaves") }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	err = ctx.Run(Env{&text, settings})
	return text.String(), err
}

// What the admin listener answers is shown; faults and refusals are an error, with each fault on a line.
func TestReloadCommand(t *testing.T) {
	const (
		token = "secret-0123456789"
		would = `{"added":["7"],"removed":[],"changed":[],"unchanged":1,"dry_run":true,"took_ms":1}`
		keeps = `{"added":[],"removed":[],"changed":[],"unchanged":1,"refused":["State.File"],"dry_run":true,"took_ms":1}`
	)
	var status int
	var body string
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer "+token:
			http.Error(w, "send the token", http.StatusUnauthorized)
		case r.Method != "POST" || r.URL.Path != "/reload":
			http.NotFound(w, r)
		case r.URL.RawQuery != "dry_run=true":
			http.Error(w, "not yet: "+r.URL.RawQuery, http.StatusNotImplemented)
		default:
			w.WriteHeader(status)
			fmt.Fprintln(w, body)
		}
	}))
	t.Cleanup(admin.Close)
	at := admin.Listener.Addr().String()
	settings := func(string) (*Relay, error) { return &Relay{Admin: netip.MustParseAddrPort(at), Token: token}, nil }
	const shown = "dry run: nothing has changed; a reload would\nadded      1 port  7\nunchanged  1 port\n"
	const kept = "refused: State.File cannot change while the relay runs; set it back, or restart. Nothing has changed\nunchanged  1 port\n"
	for _, row := range []struct {
		args      string
		status    int
		body      string
		out, want string // want is the error after the address; empty: there is none
	}{
		{"--dry-run --config f", 200, would, shown, ""},
		{"--dry-run --admin AT --token " + token, 200, would, shown, ""},
		{"--dry-run --json --config f", 200, would, would + "\n", ""},
		{"--dry-run --config f", 409, keeps, kept, "answers 409: a reload would be refused"},
		{"--dry-run --json --config f", 409, keeps, keeps + "\n", "answers 409: a reload would be refused"},
		{"--dry-run --config f", 422, "a.json: 2 faults\na.json:1: x\x1b[2J\na.json:2: \xff", "", "answers 422: a.json: 2 faults\na.json:1: x?[2J\na.json:2: ?"},
		{"--dry-run --config f", 503, "ask again", "", `answers 503: "ask again"`},
		{"--dry-run --config f", 200, "{}", "", "what answers there is no proxymap, or an old one: no JSON of a reload, or more than 64 MiB"},
		{"--dry-run --config f", 409, "no", "", "what answers there is no proxymap, or an old one: no JSON of a reload, or more than 64 MiB"},
		{"--config f", 0, "", "", `answers 501: "not yet:"`},
		{"--dry-run --admin AT", 0, "", "", `answers 401: "send the token"`},
	} {
		status, body = row.status, row.body
		out, err := askReload(t, settings, strings.Fields(strings.Replace(row.args, "AT", at, 1))...)
		got := ""
		if err != nil {
			got = strings.TrimPrefix(err.Error(), at+": ")
		}
		if out != row.out || got != row.want {
			t.Errorf("%s, answered %d: got %q, %q; want %q, %q", row.args, row.status, out, got, row.out, row.want)
		}
	}
	_, err := askReload(t, settings, "--dry-run")
	if usage, ok := errors.AsType[*UsageError](err); !ok || !strings.Contains(usage.Error(), "see proxymap reload --help") {
		t.Errorf("without an address: %v; want to be told how it is used", err)
	}
}
