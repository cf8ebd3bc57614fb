package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ask runs a session command, and returns what it prints.
func ask(t *testing.T, status int, args ...string) (out, errOut string) {
	t.Helper()
	var o, e strings.Builder
	if got := run(append([]string{"session"}, args...), &o, &e); got != status {
		t.Fatalf("session %q ends with %d; want %d; it prints %q, %q", args, got, status, o.String(), e.String())
	}
	return o.String(), e.String()
}

const adminAnswer = `{"sessions":[
  {"port":10201,"session_id":"LZpmRqdu","expires_at":"Mon, 23 Nov 2026 10:55:30 GMT","expired":false,"session_time":10,"connections":3,"bytes_to_upstream":1200,"bytes_to_client":98765},
  {"port":10202,"session_id":"uawxmttg","expires_at":"Mon, 23 Nov 2026 09:55:30 GMT","expired":true,"session_time":1.5,"connections":0,"bytes_to_upstream":7,"bytes_to_client":8},
  {"port":10203,"session_id":null,"expires_at":null,"expired":false,"session_time":null,"connections":0,"bytes_to_upstream":0,"bytes_to_client":0}
]%s}`

const adminTable = `PORT   SESSION   EXPIRES                                  MINUTES  CONNECTIONS  TO UPSTREAM  TO CLIENT
10201  LZpmRqdu  Mon, 23 Nov 2026 10:55:30 GMT            10       3            1200         98765
10202  uawxmttg  Mon, 23 Nov 2026 09:55:30 GMT (expired)  1.5      0            7            8
10203  -         -                                        -        0            0            0
`

// Several ports are asked for at the admin listener, which wants a token.
func TestSessionsOfManyPorts(t *testing.T) {
	const token = "secret-0123456789"
	var asked string
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.Path + " " + r.URL.Query().Encode() + " " + r.Header.Get("X-Proxymap")
		connections := ""
		switch {
		case r.Header.Get("Authorization") != "Bearer "+token:
			http.Error(w, "send the token", http.StatusUnauthorized)
			return
		case r.URL.Query().Has("on_rotate"):
			connections = `,"connections":{"closed":2,"draining":1}`
		}
		fmt.Fprintf(w, adminAnswer, connections)
	}))
	t.Cleanup(admin.Close)
	at := admin.Listener.Addr().String()
	file := write(t, t.TempDir(), "appsettings.json", `{"Listen":{"Port":1},"Admin":{"Address":"`+at+`","Token":"`+token+`"}}`)

	for _, row := range []struct {
		args  []string
		asked string
		more  string
	}{
		{[]string{"list", "--config", file}, "GET /sessions  1", ""},
		{[]string{"list", "--admin", at, "--token", token, "--port=10201-10250,10299"}, "GET /sessions ports=10201-10250%2C10299 1", ""},
		{[]string{"get", "--admin", at, "--token", token, "--port=10201"}, "GET /sessions ports=10201 1", ""},
		{[]string{"get", "--config", file, "--port=all"}, "GET /sessions  1", ""},
		{[]string{"new", "--config", file, "--port=10201-10203"}, "POST /sessions/new ports=10201-10203 1", ""},
		{[]string{"reset", "--config", file, "--port=all", "--on-rotate=drain"}, "POST /sessions/reset on_rotate=drain&ports=all 1",
			"connections: 2 closed, 1 draining\n"},
	} {
		asked = ""
		out, _ := ask(t, exitOK, row.args...)
		if asked != row.asked {
			t.Errorf("%q: asked for %q; want %q", row.args, asked, row.asked)
		}
		if diff := cmp.Diff(adminTable+row.more, out); diff != "" {
			t.Errorf("%q (-want +got):\n%s", row.args, diff)
		}
	}
	if out, _ := ask(t, exitOK, "list", "--json", "--config", file); out != fmt.Sprintf(adminAnswer, "")+"\n" {
		t.Errorf("--json prints %q", out)
	}
	if _, errOut := ask(t, exitFailure, "list", "--admin", at, "--token", "geheim"); !strings.Contains(errOut, `answers 401: "send the token"`) || strings.Contains(errOut, "geheim") {
		t.Errorf("with a wrong token it says %q", errOut)
	}
	// The token of the settings is for their listener, and no other.
	if _, errOut := ask(t, exitFailure, "list", "--admin", at, "--config", file); !strings.Contains(errOut, "answers 401") {
		t.Errorf("with another listener it says %q", errOut)
	}
}
