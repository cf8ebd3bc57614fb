package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The started program, its admin listener and its own command line go together.
func TestAdminSessionsEndToEnd(t *testing.T) {
	upstream, first, admin := startProvider(t), freePort(t), freePort(t)
	const token = "0123456789abcdef"
	text := strings.TrimSuffix(fmt.Sprintf(demoSettings, first, first, upstream.Addr().Port()), "}") +
		fmt.Sprintf(`"Admin": {"Address": "127.0.0.1:%d", "Token": %q}}`, admin, token)
	file := filepath.Join(t.TempDir(), "appsettings.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
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
		var out, errOut bytes.Buffer
		if status := run(append([]string{"session"}, args...), &out, &errOut); status != exitOK {
			t.Fatalf("%v: status %d: %s", args, status, errOut.String())
		}
		var a sessionsAnswer
		if err := json.Unmarshal(out.Bytes(), &a); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out.String())
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
