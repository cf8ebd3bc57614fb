package relay

import (
	"bytes"
	"strings"
	"testing"

	"proxymap/httpparse"
	"proxymap/relay/hostrule"
)

// An HTTP proxy gets a CONNECT for what a SOCKS client asks for, to the byte.
func TestSocksHeads(t *testing.T) {
	t.Parallel()
	rules := withRules(t, hostrule.Rule{Host: "moved.example", OverrideHost: "2001:db8::1", Server: -1},
		hostrule.Rule{Host: "other.example", OverridePort: 8443, Server: -1})
	agent := func(cfg *Config) { cfg.UserAgent = "proxymapper" }
	for _, row := range []struct {
		name   string
		change func(*Config)
		host   string
		head   string // without the credentials and the empty line
	}{
		{"a name", func(*Config) {}, "a.example", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n"},
		{"as it is written", func(*Config) {}, "A.Example", "CONNECT A.Example:443 HTTP/1.1\r\nHost: A.Example:443\r\n"},
		{"with a user agent", agent, "a.example", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nUser-Agent: proxymapper\r\n"},
		{"UTF-8 with a user agent", agent, "bücher.example", "CONNECT xn--bcher-kva.example:443 HTTP/1.1\r\nHost: xn--bcher-kva.example:443\r\nUser-Agent: proxymapper\r\n"},
		{"IPv6", agent, "2001:db8::1", "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\nUser-Agent: proxymapper\r\n"},
		{"another host", rules, "moved.example", "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n"},
		{"another port", rules, "other.example", "CONNECT other.example:8443 HTTP/1.1\r\nHost: other.example:8443\r\n"},
	} {
		for version, says := range map[string]string{
			"5":  "\x05\x01\x00\x05\x01\x00\x03" + string([]byte{byte(len(row.host))}) + row.host + "\x01\xbb",
			"4a": "\x04\x01\x01\xbb\x00\x00\x00\x01\x00" + row.host + "\x00",
		} {
			t.Run(row.name+" in SOCKS"+version, func(t *testing.T) {
				t.Parallel()
				g := newRig(t, row.change)
				c := g.client(0)
				c.send(says)
				if got, want := g.upstream().head(), row.head+credentialsOf(1)+"\r\n"; got != want {
					t.Errorf("the provider got %q; want %q", got, want)
				}
			})
		}
	}
}

// What a SOCKS client asks for is the request that a CONNECT makes, but for the field lines.
func TestRequestOfSocks(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"a.example:443", "A.Example:80", "[2001:db8::1]:443", "192.0.2.7:1", "bücher.example:65535"} {
		authority, target, err := plainAuthority([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var said request
		said.fromSocks(5, authority, &target)
		want := requestIn(t, "CONNECT "+text+" HTTP/1.1\r\n\r\n")
		for what, spans := range map[string][2]httpparse.Span{"authority": {said.authority, want.authority}, "host": {said.host, want.host}} {
			if got, want := spans[0].In(said.head.bytes()), spans[1].In(want.head.bytes()); !bytes.Equal(got, want) {
				t.Errorf("%s: its %s is %q; want %q", text, what, got, want)
			}
		}
		if got := string(said.head.bytes()); got != string(said.authority.In(said.head.bytes())) {
			t.Errorf("%s: %q is kept; want the authority alone", text, got)
		}
		if said.socks != 5 || said.method != want.method || said.form != want.form || said.port != want.port || said.minor != want.minor ||
			said.persists != want.persists || said.idempotent != want.idempotent || said.content.done() != want.content.done() {
			t.Errorf("%s: got %+v; want what a CONNECT makes, %+v", text, said, want)
		}
	}
	for _, text := range []string{"a b:443", "a:443 HTTP/1.1\r\nX: y", "a:0", "a／b:443", strings.Repeat("a", 64) + ":443"} {
		if plain, _, err := plainAuthority([]byte(text)); err == nil || !plain.empty() {
			t.Errorf("%q: got %v with %q kept; want it refused, and nothing kept", text, err, plain.bytes())
		}
	}
}

// One walk over the field lines finds the client's credentials, what may not go upstream as it came, and who calls.
func TestRequestFields(t *testing.T) {
	t.Parallel()
	const line = "GET http://a.example/ HTTP/1.1\r\n"
	for _, row := range []struct {
		name, fields    string
		login           string
		edits           int
		agrees, noRoom  bool
		caller, hostVal string // Origin, Referer, Sec-Fetch-Site and X-Proxymap, each with a line end
	}{
		{"nothing", "Host: a.example\r\n", "", 1, true, false, "\n\n\n\n", "a.example"},
		{"another host", "Host: b.example\r\n", "", 1, false, false, "\n\n\n\n", "b.example"},
		{"the default port", "Host: A.example:80\r\n", "", 1, true, false, "\n\n\n\n", "A.example:80"},
		{"the first of several credentials", "Proxy-Authorization: one\r\nHost: a.example\r\nProxy-Authorization: two\r\n", "one", 3, true, false, "\n\n\n\n", "a.example"},
		{"empty credentials come first", "Proxy-Authorization:\r\nHost: a.example\r\nProxy-Authorization: two\r\n", "", 3, true, false, "\n\n\n\n", "a.example"},
		{"as many as there is room for", strings.Repeat("Proxy-Authorization: x\r\n", maxEdits-1) + "Host: a.example\r\n", "x", maxEdits, true, false, "\n\n\n\n", "a.example"},
		{"more than there is room for", strings.Repeat("Proxy-Authorization: x\r\n", maxEdits) + "Host: a.example\r\n", "x", maxEdits, true, true, "\n\n\n\n", "a.example"},
		{"a browser", "Host: a.example\r\nOrigin: o\r\nReferer: r\r\nSec-Fetch-Site: s\r\nX-Proxymap: 1\r\n", "", 1, true, false, "o\nr\ns\n1\n", "a.example"},
	} {
		t.Run(row.name, func(t *testing.T) {
			q := requestIn(t, line+row.fields+"\r\n")
			caller := ""
			for _, value := range []httpparse.Span{q.caller.origin, q.caller.referer, q.caller.fetchSite, q.caller.header} {
				caller += string(q.field(value)) + "\n"
			}
			if got := string(q.field(q.login)); got != row.login || q.numEdits != row.edits || q.overfull != row.noRoom || q.hostAgrees != row.agrees ||
				caller != row.caller || string(q.field(q.hostField)) != row.hostVal {
				t.Errorf("got credentials %q, %d edits, overfull %v, Host agrees %v, called by %q; want %+v", got, q.numEdits, q.overfull, q.hostAgrees, caller, row)
			}
		})
	}
}

// A field that is not there is told from one that is empty: to the Session API an empty Origin is one.
func TestRequestFieldAbsent(t *testing.T) {
	t.Parallel()
	q := requestIn(t, "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nOrigin:\r\n\r\n")
	if got := q.field(q.caller.origin); got == nil || len(got) > 0 {
		t.Errorf("an empty Origin is %v; want empty, and not nil", got)
	}
	if got := q.field(q.caller.referer); got != nil {
		t.Errorf("a Referer that is not there is %q; want nil", got)
	}
}

// requestIn is the request of a head, put right as the intake does it.
func requestIn(t *testing.T, head string) (q request) {
	t.Helper()
	var r httpparse.Request
	r.Names = callerFields
	text := []byte(head)
	limits := httpparse.Limits{Head: 8 << 10, Target: 8 << 10, Fields: 64}
	if err := r.Parse(text, limits); err != nil {
		t.Fatal(err)
	}
	if !r.IsPlain() {
		plain, err := putRight(&r, text, limits)
		if err != nil {
			t.Fatal(err)
		}
		text = plain.bytes()
	}
	q.fromHead(&r, text)
	return q
}
