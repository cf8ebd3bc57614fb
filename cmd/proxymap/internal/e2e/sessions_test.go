package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A sessionsAnswer is what the admin listener says of ports' sessions.
type sessionsAnswer struct {
	Sessions []struct {
		ID   *string `json:"session_id"`
		Open int     `json:"connections"`
	}
	Connections *connectionCounts
}

type connectionCounts struct{ Closed, Draining int }

// The started program, its admin listener and its own command line go together.
func TestAdminSessionsEndToEnd(t *testing.T) {
	t.Parallel()
	upstream, first, admin := startProvider(t), freePort(t), freePort(t)
	const token = "0123456789abcdef"
	file := write(t, t.TempDir(), "appsettings.json", strings.TrimSuffix(fmt.Sprintf(onePortSettings, first, upstream.Addr().Port()), "}")+
		fmt.Sprintf(`"Admin": {"Address": "127.0.0.1:%d", "Token": %q}}`, admin, token))
	start(t, "serve", "--config", file).logged("msg=listening")

	req, err := http.NewRequest("GET", fmt.Sprintf("http://127.0.0.1:%d/sessions/events", admin), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("events: %v, %v", res, err)
	}
	defer res.Body.Close()
	events := bufio.NewReader(res.Body)

	session := func(args ...string) sessionsAnswer {
		t.Helper()
		out, _ := ask(t, exitOK, args...)
		var a sessionsAnswer
		if err := json.Unmarshal([]byte(out), &a); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		return a
	}
	list := []string{"list", "--config", file, "--json"}
	if a := session(list...); len(a.Sessions) != 1 || a.Sessions[0].ID != nil {
		t.Errorf("an unused port has %+v", a.Sessions)
	}
	tunnel := openTunnel(t, first)
	made := session(list...).Sessions[0]
	if made.ID == nil || made.Open != 1 {
		t.Errorf("a port with a tunnel has %+v", made)
	}
	a := session("new", "--admin", fmt.Sprintf("127.0.0.1:%d", admin), "--token", token, "--port", fmt.Sprint(first), "--on-rotate", "close", "--json")
	if *a.Connections != (connectionCounts{Closed: 1}) || *a.Sessions[0].ID == *made.ID {
		t.Errorf("got %+v, %+v; want the tunnel closed and another session", a.Connections, a.Sessions)
	}
	if _, err := tunnel.Read(make([]byte, 1)); err == nil {
		t.Error("the tunnel is still there")
	}
	for _, want := range []string{"event: created", "event: rotated"} {
		for line := ""; line != want; {
			if line, err = events.ReadString('\n'); err != nil {
				t.Fatalf("waited in vain for %q: %v", want, err)
			}
			line = strings.TrimSpace(line)
		}
	}
}
