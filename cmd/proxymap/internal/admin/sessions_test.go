package admin

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"proxymap/cmd/proxymap/internal/settings"
	"proxymap/relay"
	"proxymap/session"
	"proxymap/session/wire"
)

// sessions asks for what ports have.
func (g *adminRig) sessions(method, path string) wire.Sessions {
	g.t.Helper()
	res, text := g.do(method, path)
	if res.StatusCode != 200 {
		g.t.Fatalf("%s %s: got %d %q", method, path, res.StatusCode, text)
	}
	var a wire.Sessions
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		g.t.Fatalf("%s %s: %v: %s", method, path, err, text)
	}
	return a
}

// openTunnel opens a tunnel to the provider's own host, which stays open.
func openTunnel(t *testing.T, port netip.AddrPort) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", port.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(conn, "CONNECT ip.demo:80 HTTP/1.1\r\nHost: ip.demo:80\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "HTTP/1.1 200 OK\r\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	return conn
}

// Looking at ports makes no session; replacing and removing are for those that are named.
func TestSessionsOfPorts(t *testing.T) {
	g := newAdminRig(t, "")
	a, b := g.relay.Ports()[0], g.relay.Ports()[1]
	for range 2 {
		for i, s := range g.sessions("GET", "/sessions").Sessions {
			if s.ID != nil || s.Expires != nil || s.Time != nil || s.Expired || s.Port != g.relay.Ports()[i].Port() || s.Address != a.Addr() {
				t.Fatalf("an unused port shows %+v", s)
			}
		}
	}
	if line := asked(t, a, "GET http://ip.demo/ HTTP/1.1\r\nHost: ip.demo\r\nConnection: close\r\n\r\n"); line != "HTTP/1.1 200 OK" {
		t.Fatal(line)
	}
	first := g.sessions("GET", fmt.Sprintf("/sessions?ports=%d", a.Port())).Sessions
	if len(first) != 1 || first[0].ID == nil || *first[0].Time != 10 || first[0].Upstream == 0 || first[0].Client == 0 {
		t.Fatalf("got %+v; want the session of the port, and its traffic", first)
	}
	expires, err := http.ParseTime(*first[0].Expires)
	if left := time.Until(expires); err != nil || left < 9*time.Minute || left > 10*time.Minute {
		t.Errorf("it expires in %v, %v", left, err)
	}
	again := g.sessions("POST", fmt.Sprintf("/sessions/new?ports=%d,%d", b.Port(), a.Port()))
	if len(again.Sessions) != 2 || again.Sessions[0].Port != b.Port() || again.Sessions[0].ID == nil || *again.Sessions[1].ID == *first[0].ID || again.Connections == nil {
		t.Errorf("got %+v; want new sessions in the order asked for", again)
	}
	if gone := g.sessions("POST", "/sessions/reset?ports=all"); len(gone.Sessions) != 2 || gone.Sessions[0].ID != nil || gone.Sessions[1].ID != nil {
		t.Errorf("got %+v; want none", gone.Sessions)
	}
}

// A rotation of many ports reaches their connections, and is answered in one piece.
func TestRotateManyPorts(t *testing.T) {
	g := newAdminRig(t, "")
	tunnel := openTunnel(t, g.relay.Ports()[0])
	other := openTunnel(t, g.relay.Ports()[1])
	if kept := g.sessions("POST", "/sessions/new?ports=all"); *kept.Connections != (wire.Connections{}) {
		t.Errorf("by default %+v", kept.Connections)
	}
	if cut := g.sessions("POST", "/sessions/new?ports=all&on_rotate=close"); *cut.Connections != (wire.Connections{Closed: 2}) {
		t.Errorf("got %+v; want both closed", cut.Connections)
	}
	for _, conn := range []net.Conn{tunnel, other} {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("a tunnel has not been cut")
		}
	}
}

// Parameters come in the body, for all of the ports or for none.
func TestRotateWithParameters(t *testing.T) {
	g := newAdminRig(t, "")
	post := func(path, body string) (int, string) {
		req, err := http.NewRequest("POST", g.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := bufio.NewReader(res.Body).ReadString(0)
		return res.StatusCode, text
	}
	if status, text := post("/sessions/new?ports=all", `{"UsernameParameters":{"country":"de"},"OnRotate":"drain"}`); status != 200 || !strings.Contains(text, `"draining":0`) {
		t.Errorf("got %d %s", status, text)
	}
	for _, s := range g.relay.Sessions(nil) {
		if want := []session.Pair{{Name: "country", Value: "de"}}; !slices.Equal(s.Session.Parameters(), want) {
			t.Errorf("the session has %v; want %v", s.Session.Parameters(), want)
		}
	}
	const given, shown = `{"UsernameParameters":{"country":"de","city":"a<b"}}`, `,"username_parameters":{"country":"de","city":"a\u003cb"},"connections":`
	if _, text := post("/sessions/new?ports=all", given); strings.Count(text, shown) != len(g.relay.Ports()) {
		t.Errorf("the answer does not show the parameters of each port: %s", text)
	}
	if _, text := g.do("GET", "/sessions"); strings.Count(text, shown) != len(g.relay.Ports()) {
		t.Errorf("/sessions does not show the parameters of each port: %s", text)
	}
	for _, row := range []struct {
		path, body string
		status     int
		why        string
	}{
		{"/sessions/new?port=1", "", 400, "the query takes ports and on_rotate alone"},
		{"/sessions/new", "", 400, "ports is missing"},
		{"/sessions/new?ports=", "", 400, `"": must be a port`},
		{"/sessions/new?ports=1", "", 400, `ports: the relay does not listen on port 1`},
		{"/sessions/new?ports=9-5", "", 400, `"9-5": must be`},
		{"/sessions/new?ports=70000", "", 400, `"70000": must be`},
		{"/sessions/new?ports=all&country=de", "", 400, "stand in a body"},
		{"/sessions/new?ports=all&on_rotate=cut", "", 400, `on_rotate: value "cut"`},
		{"/sessions/new?ports=all&on_rotate=close&on_rotate=keep", "", 400, "on_rotate is given more than once"},
		{"/sessions/new?ports=all&on_rotate=close", `{"OnRotate":"keep"}`, 400, "both the query and the body"},
		{"/sessions/new?ports=all&on_rotate=%zz", "", 400, "the query cannot be read"},
		{"/sessions/new?ports=all", "{", 400, "the body must be"},
		{"/sessions/new?ports=all", `{"UsernameParameters":{"a":"b:c"}}`, 400, "colon"},
		{"/sessions/new?ports=all", strings.Repeat(" ", session.MaxBody+1), 413, "too large"},
		{"/sessions/reset?ports=all", `{"UsernameParameters":{"a":"b"}}`, 400, "takes no parameters"},
	} {
		if status, text := post(row.path, row.body); status != row.status || !strings.Contains(text, row.why) {
			t.Errorf("%s %.40s: got %d %q; want %d, %q", row.path, row.body, status, text, row.status, row.why)
		}
	}
	if res, text := g.do("GET", "/sessions?port=1"); res.StatusCode != 400 || !strings.Contains(text, "takes ports alone") {
		t.Errorf("an unknown parameter: got %d %q", res.StatusCode, text)
	}
	for _, path := range []string{"/sessions/new?ports=all", "/sessions/reset?ports=all"} {
		if res, _ := g.do("GET", path); res.StatusCode != 405 || res.Header.Get("Allow") != "POST" {
			t.Errorf("GET %s: got %d, Allow %q", path, res.StatusCode, res.Header.Get("Allow"))
		}
	}
}

// A confirmer is a store that does nothing but to confirm.
type confirmer func(port netip.AddrPort, done func(error))

func (confirmer) Load(netip.AddrPort, *session.Slot, []string)    {}
func (confirmer) SetServers(netip.AddrPort, []string)             {}
func (confirmer) Forget(netip.AddrPort)                           {}
func (confirmer) Note(session.Event)                              {}
func (f confirmer) Confirm(port netip.AddrPort, done func(error)) { f(port, done) }

// A call waits until its changes are confirmed, as one on a port does, and says so if they cannot be.
func TestRotateConfirms(t *testing.T) {
	for _, fails := range []bool{false, true} {
		var asked []netip.AddrPort
		g := newAdminRig(t, "", func(cfg *relay.Config) {
			cfg.Store = confirmer(func(port netip.AddrPort, done func(error)) {
				asked = append(asked, port)
				if fails {
					go done(errors.New("disk full"))
					return
				}
				go done(nil)
			})
		})
		res, text := g.do("POST", "/sessions/new?ports=all")
		if want := map[bool]int{false: 200, true: 503}[fails]; res.StatusCode != want || fails && !strings.Contains(text, "disk full") {
			t.Errorf("got %d %q; want %d", res.StatusCode, text, want)
		}
		if !slices.Equal(asked, g.relay.Ports()) {
			t.Errorf("asked about %v", asked)
		}
	}
}

// Events tell what happens to sessions as it happens.
func TestEvents(t *testing.T) {
	g := newAdminRig(t, "")
	res, err := http.Get(g.url + "/sessions/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	r := bufio.NewReader(res.Body)
	next := func() (name string, m wire.Event) {
		t.Helper()
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if text, ok := strings.CutPrefix(line, "event: "); ok {
				name = strings.TrimSpace(text)
			}
			if text, ok := strings.CutPrefix(line, "data: "); ok {
				if err := json.Unmarshal([]byte(text), &m); err != nil {
					t.Fatal(err)
				}
				return name, m
			}
		}
	}
	if line, err := r.ReadString('\n'); !strings.HasPrefix(line, ":") {
		t.Fatalf("got %q, %v; want a comment", line, err)
	}
	port := g.relay.Ports()[0]
	asked(t, port, "GET http://ip.demo/ HTTP/1.1\r\nHost: ip.demo\r\nConnection: close\r\n\r\n")
	name, made := next()
	if name != "created" || made.Old != nil || made.New == nil || made.Port != port.Port() || made.Reason != "traffic" || made.Time.IsZero() {
		t.Errorf("got %s %+v", name, made)
	}
	g.sessions("POST", fmt.Sprintf("/sessions/new?ports=%d", port.Port()))
	name, rotated := next()
	if name != "rotated" || *rotated.Old != *made.New || *rotated.New == *made.New || rotated.Reason != "new" {
		t.Errorf("got %s %+v", name, rotated)
	}
	g.sessions("POST", fmt.Sprintf("/sessions/reset?ports=%d", port.Port()))
	if name, m := next(); name != "reset" || *m.Old != *rotated.New || m.New != nil {
		t.Errorf("got %s %+v", name, m)
	}
}

// A reader that is too slow loses events, hears how many, and nobody waits for it; there are so many readers and no more.
func TestSlowReaderOfEvents(t *testing.T) {
	h := newEventHub()
	reader := h.join()
	for range eventBacklog + 7 {
		h.publish(session.Event{})
	}
	if got, lost := len(reader.events), reader.lost.Load(); got != eventBacklog || lost != 7 {
		t.Errorf("%d events wait and %d are lost; want %d and 7", got, lost, eventBacklog)
	}
	for range maxReaders - 1 {
		if h.join() == nil {
			t.Fatal("too few readers are let in")
		}
	}
	if h.join() != nil {
		t.Error("one reader too many is let in")
	}
	h.leave(reader)
	if h.join() == nil {
		t.Error("a place that was left is not given again")
	}
}

// What is lost is told behind the next event that is not.
func TestGapIsTold(t *testing.T) {
	h := newEventHub()
	reader := h.join()
	reader.lost.Store(3)
	h.publish(session.Event{Reason: "x"})
	text := reader.text(<-reader.events)
	if !strings.HasSuffix(text, "event: gap\ndata: {\"lost\":3}\n\n") || reader.lost.Load() != 0 {
		t.Errorf("got %q", text)
	}
	if text := reader.text(session.Event{}); strings.Contains(text, "gap") {
		t.Errorf("it is told again: %q", text)
	}
}

// Ten thousand ports are listed.
func BenchmarkSessionsOfTenThousandPorts(b *testing.B) {
	cfg, err := settings.Parse("f", []byte(`{"Listen":{"Port":1,"StickyProxyLifetime":10,"Action":"Bypass"}}`))
	if err != nil {
		b.Fatal(err)
	}
	m := cfg.Config.Mappings[0]
	m.First, m.Last = 0, 0
	cfg.Config.Mappings = slices.Repeat([]relay.Mapping{m}, 10_000)
	r, err := relay.Listen(cfg.Config)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { r.Shutdown(0); _ = r.Serve() }()
	_ = r.Rotate(b.Context(), r.Ports(), &relay.Rotation{Renew: true})
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		writeJSON(w, wire.Line(newSessions(r.Sessions(nil))))
		if w.Body.Len() < 1<<20 {
			b.Fatal(w.Body.Len())
		}
	}
}
