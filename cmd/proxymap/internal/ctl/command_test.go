package ctl

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

// ask runs a session command, and returns what it prints, and its error.
func ask(t *testing.T, settings func(string) (*Relay, error), args ...string) (out string, err error) {
	t.Helper()
	var command Command
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
		body, _ := io.ReadAll(r.Body)
		asked = r.Method + " " + r.URL.Path + " " + r.URL.Query().Encode() + " " + r.Header.Get("X-Proxymap") + string(body)
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
	const file = "appsettings.json"
	settings := func(name string) (*Relay, error) {
		if name != file {
			return nil, fs.ErrNotExist
		}
		return &Relay{Admin: netip.MustParseAddrPort(at), Token: token}, nil
	}

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
		{[]string{"new", "--config", file, "--port=10201-10203", "--on-rotate=drain", "country=de", "city=a\"b"},
			"POST /sessions/new on_rotate=drain&ports=10201-10203 1" + `{"UsernameParameters":{"country":"de","city":"a\"b"}}` + "\n", "connections: 2 closed, 1 draining\n"},
		{[]string{"reset", "--config", file, "--port=all", "--on-rotate=drain"}, "POST /sessions/reset on_rotate=drain&ports=all 1",
			"connections: 2 closed, 1 draining\n"},
	} {
		asked = ""
		out, err := ask(t, settings, row.args...)
		if err != nil {
			t.Fatalf("%q: %v", row.args, err)
		}
		if asked != row.asked {
			t.Errorf("%q: asked for %q; want %q", row.args, asked, row.asked)
		}
		if diff := cmp.Diff(adminTable+row.more, out); diff != "" {
			t.Errorf("%q (-want +got):\n%s", row.args, diff)
		}
	}
	if out, err := ask(t, settings, "list", "--json", "--config", file); out != fmt.Sprintf(adminAnswer, "")+"\n" || err != nil {
		t.Errorf("--json prints %q, %v", out, err)
	}
	if _, err := ask(t, settings, "list", "--admin", at, "--token", "geheim"); err == nil || !strings.Contains(err.Error(), `answers 401: "send the token"`) || strings.Contains(err.Error(), "geheim") {
		t.Errorf("with a wrong token it says %v", err)
	}
	// The token of the settings is for their listener, and no other.
	if _, err := ask(t, settings, "list", "--admin", at, "--config", file); err == nil || !strings.Contains(err.Error(), "answers 401") {
		t.Errorf("with another listener it says %v", err)
	}
	if _, err := ask(t, settings, "list", "--config", "none.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the settings it says %v", err)
	}
}

// A port that wants a PROXY header gets one, which names nobody.
func TestHeaderForAPortThatWantsOne(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	began := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		line, _ := r.ReadString('\n')
		began <- line
		if _, err := http.ReadRequest(r); err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"+
				`{"session_id": "abc", "expires_at": "Mon, 23 Nov 2026 10:55:30 GMT", "expired": false, "session_time": 10}`)
		}
	}()
	at := l.Addr().(*net.TCPAddr).AddrPort()
	out, err := ask(t, func(string) (*Relay, error) {
		return &Relay{Port: func(int) (Port, bool) { return Port{Address: at.Addr(), Enabled: true, Header: true}, true }}, nil
	}, "get", "--config", "f", "--port", fmt.Sprint(at.Port()))
	if line := <-began; line != "PROXY UNKNOWN\r\n" || err != nil || !strings.Contains(out, "abc") {
		t.Errorf("the connection begins with %q, and it came to %q, %v", line, out, err)
	}
}
