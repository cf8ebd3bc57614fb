package relay

import (
	"encoding/base64"
	"encoding/hex"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"proxymap/session"
	"proxymap/session/credential"
)

// A 407 to the port's credentials becomes an answer that tells what the provider said of it, but for the credentials. It
// is the same for a CONNECT and for a plain request.
func TestProviderSaysWhy(t *testing.T) {
	const head = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"r\"\r\n"
	encoded := base64.StdEncoding.EncodeToString([]byte("user-session-id1:pass"))
	for _, row := range []struct{ name, response, want string }{
		{"reason phrase", "HTTP/1.1 407 IP Not Allowed\r\nContent-Length: 0\r\n\r\n", "credentials: IP Not Allowed; it may"},
		{"nothing", "HTTP/1.1 407\r\nContent-Length: 0\r\n\r\n", "credentials; it may"},
		{"fields", head + "Set-Cookie: a=b\r\nX-Cookie: c\r\nX-Error: zone_off\r\nProxy-Status: gw; error=http_request_denied\r\nContent-Length: 0\r\n\r\n",
			"credentials: Proxy Authentication Required; X-Error: zone_off; Proxy-Status: gw; error=http_request_denied; it may"},
		{"content", head + "Content-Type: text/plain\r\nContent-Length: 23\r\n\r\nno traffic\r\nis left now", `Required; "no traffic is left now"; it may`},
		{"content without a type", head + "Content-Length: 15\r\n\r\nno traffic left", `Required; "no traffic left"; it may`},
		{"chunks", head + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n", `Required; "{"a":1}"; it may`},
		{"an image", head + "Content-Type: image/png\r\nContent-Length: 4\r\n\r\n\x89PNG", "Required; it may"},
		{"the user name", head + "X-Error: no user user-session-id1\r\nContent-Length: 0\r\n\r\n", "X-Error: no *** ***; it may"},
		{"the user name in a longer one", head + "X-Error: zone-USER-session-id1-x\r\nContent-Length: 0\r\n\r\n", "X-Error: zone-***-x; it may"},
		{"the name in the settings", head + "X-Error: no account \"user\"\r\nContent-Length: 0\r\n\r\n", `X-Error: no account "***"; it may`},
		{"the user name in hexadecimal", head + "X-Error: no " + hex.EncodeToString([]byte("user-session-id1")) + "\r\nContent-Length: 0\r\n\r\n", "X-Error: no ***; it may"},
		{"the user name on two lines", head + "X-Error: no user-ses\r\n sion-id1 here\r\nContent-Length: 0\r\n\r\n", "X-Error: no *** here; it may"},
		{"the password", head + "Content-Length: 12\r\n\r\nnot pass, no", `Required; "not ***,`},
		{"the field", head + "Content-Length: 60\r\n\r\n" + ("Basic " + encoded + strings.Repeat(" ", 60))[:60], `Required; "Basic ***"; it may`},
		{"escapes", head + "Content-Length: 60\r\n\r\n" + ("/?u=" + url.QueryEscape("user-session-id1") + "&a=" + url.QueryEscape(encoded) + strings.Repeat(" ", 60))[:60], `Required; "/?u=***&a=***`},
	} {
		t.Run(row.name, func(t *testing.T) {
			log := &lines{}
			g := newRig(t, func(cfg *Config) { cfg.Log = slog.New(slog.NewTextHandler(log, nil)) })
			for _, request := range []string{connect, get} {
				g.relay.ports()[0].authWarned.Store(0)
				c, u := g.asked(request)
				u.send(row.response)
				c.expectAnswer(502, "upstream-auth", row.want)
				c.expectEnd()
				u.expectClosed()
			}
			for _, secret := range []string{"user-session", "\"user", "pass", encoded, encoded[:20]} {
				if found := log.with(secret); found != nil {
					t.Errorf("%q is logged: %q", secret, found)
				}
			}
		})
	}
}

// A short account hides no more than itself.
func TestProviderSaysWhyToAShortAccount(t *testing.T) {
	g := newRig(t, func(cfg *Config) {
		cfg.Mappings[0].Plan = newPlan(t, session.PlanConfig{Account: &credential.Account{Username: "me", Password: "a"}, Set: true})
	})
	c, u := g.asked(get)
	u.send("HTTP/1.1 407 a name is a name\r\nX-Error: some=me; auth=" + base64.StdEncoding.EncodeToString([]byte("me:a")) + "\r\nContent-Length: 0\r\n\r\n")
	c.expectAnswer(502, "upstream-auth", "credentials: *** name is *** name; X-Error: some=***; auth=***; it may")
}

// Where many are refused at once, the provider's words are looked through for some: the others are told without them.
func TestProviderSaysWhyToMany(t *testing.T) {
	g := newRig(t)
	for _, row := range []struct {
		left int
		want string
	}{{1, "credentials: zone off; it may"}, {0, "credentials; it may"}} {
		c, u := g.asked(get)
		g.onLoops(func(c *conn) { c.l.verdicts = allowance{until: never, left: row.left} })
		u.send("HTTP/1.1 407 zone off\r\nContent-Length: 0\r\n\r\n")
		c.expectAnswer(502, "upstream-auth", row.want)
	}
}

func TestAllowance(t *testing.T) {
	var a allowance
	second := int64(time.Second)
	for _, row := range []struct {
		now  int64
		want bool
	}{{5, true}, {6, true}, {7, false}, {4 + second, false}, {5 + second, true}, {5 + second, true}, {6 + second, false}, {9 * second, true}} {
		if got := a.take(row.now, 2); got != row.want {
			t.Errorf("at %d: got %v", row.now, got)
		}
	}
}

// What the provider says comes in its time, and what takes longer is not waited for.
func TestProviderSaysItSlowly(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 407 No\r\nContent-Type: text/plain\r\n"
	for _, row := range []struct {
		name, first, then string
		fin               bool
		want              string
	}{
		{"later", head + "Content-Length: 11\r\n\r\n", "zone is off", false, `No; "zone is off"`},
		{"until the end", head + "\r\nzone is", " off", true, `No; "zone is off"`},
		{"broken off", head + "Content-Length: 90\r\n\r\nzone is", " off", true, `No; "zone is"`},
		{"for ever", head + "Content-Length: 90\r\n\r\nzone is", " off", false, `No; "zone is"`},
		{"never", head + "Content-Length: 90\r\n\r\n", "", false, "credentials: No; it may"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t)
			c, u := g.asked(post4 + "bo")
			u.send(row.first)
			await(t, "the relay has read it", func() bool {
				seen := false
				g.onLoops(func(c *conn) { seen = seen || c.stage == stageVerdict })
				return seen
			})
			u.send(row.then)
			if row.fin {
				u.fin()
			}
			c.expectAnswer(502, "upstream-auth", row.want)
			c.expectEnd()
			u.expectClosed()
		})
	}
}

// A content without end is not read to its end.
func TestProviderSaysMuch(t *testing.T) {
	g := newRig(t)
	c, u := g.asked(connect)
	go func() {
		_, _ = io.WriteString(u.conn, "HTTP/1.1 407 No\r\n\r\n"+strings.Repeat("much ", 1<<18))
	}()
	c.expectAnswer(502, "upstream-auth", `No; "`+strings.Repeat("much ", 39)+`much"`)
	c.expectEnd()
	u.expectClosed()
}

// A SOCKS client has no use for words; they are in the log.
func TestProviderSaysWhyToSocks(t *testing.T) {
	log := &lines{}
	g := newRig(t, func(cfg *Config) { cfg.Log = slog.New(slog.NewTextHandler(log, nil)) })
	c := g.client(0)
	c.send("\x05\x01\x00" + socks5Name)
	c.expect("\x05\x00")
	u := g.upstream()
	u.head()
	u.send("HTTP/1.1 407 No\r\nContent-Length: 11\r\n\r\nzone is off")
	c.expect("\x05\x01" + answer5[2:])
	c.expectEnd()
	if log.with("the provider refuses the port's credentials", `said="No; \"zone is off\""`) == nil {
		t.Error("the log does not say why")
	}
}
