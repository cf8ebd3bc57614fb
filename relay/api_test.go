package relay

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"proxymap/session"
	"proxymap/session/credential"
)

// apiAnswer reads an answer of the Session API and decodes its JSON.
func (p *peer) apiAnswer() (res *http.Response, body map[string]any) {
	p.t.Helper()
	res, err := http.ReadResponse(p.r, nil)
	if err != nil {
		p.t.Fatalf("client: %v", err)
	}
	if res.StatusCode != 200 {
		p.t.Fatalf("client: got %s; want 200", res.Status)
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		p.t.Fatalf("client: %v", err)
	}
	res.Body.Close()
	return res, body
}

// HEAD has the head of GET's answer, and no content: what comes next on the connection is the next answer. It rotates nothing.
func TestHEADOfTheAPI(t *testing.T) {
	g := newRig(t, withAPI("portmapper"))
	c := g.client(0)
	ask := func(method, path string) *http.Response {
		t.Helper()
		c.send(method + " http://portmapper" + path + " HTTP/1.1\r\nHost: portmapper\r\n\r\n")
		res, err := http.ReadResponse(c.r, &http.Request{Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); err != nil || method == "GET" && n != res.ContentLength {
			t.Fatalf("%s %s: %d bytes of content, %v", method, path, n, err)
		}
		res.Header.Del("Date")
		return res
	}
	head, get := ask("HEAD", "/session/"), ask("GET", "/session/")
	if head.StatusCode != 200 || head.ContentLength != get.ContentLength || !maps.EqualFunc(head.Header, get.Header, slices.Equal) {
		t.Errorf("HEAD is answered %d, %v; GET %d, %v", head.StatusCode, head.Header, get.StatusCode, get.Header)
	}
	for path, allow := range map[string]string{"/session/new": "GET, POST", "/session/reset": "GET"} {
		c = g.client(0) // which is closed after an error
		if res := ask("HEAD", path); res.StatusCode != 405 || res.Header.Get("Allow") != allow {
			t.Errorf("HEAD %s: %d, Allow %q", path, res.StatusCode, res.Header.Get("Allow"))
		}
	}
	c = g.client(0)
	if after := ask("HEAD", "/session/").Header.Get("X-Session-Id"); after != get.Header.Get("X-Session-Id") {
		t.Errorf("the session is %q; want %q still", after, get.Header.Get("X-Session-Id"))
	}
}

// All the ways to the API, each twice over one connection.
func TestWaysToTheAPI(t *testing.T) {
	const absolute = "GET http://portmapper/session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n"
	for _, row := range []struct{ name, domain, before, request string }{
		{"absolute-form", "portmapper", "", absolute},
		{"absolute-form in another case", "portmapper", "", "GET http://PortMapper:80/session/ HTTP/1.1\r\nHost: PortMapper\r\n\r\n"},
		{"absolute-form decides against Host", "portmapper", "", "GET http://portmapper/session/ HTTP/1.1\r\nHost: example.com\r\n\r\n"},
		{"origin-form with the domain as Host", "portmapper", "", "GET /session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n"},
		{"origin-form with the port's own number", "portmapper", "", "GET /session/ HTTP/1.1\r\nHost: portmapper:PORT\r\n\r\n"},
		{"inside a CONNECT", "portmapper", "CONNECT portmapper:80 HTTP/1.1\r\nHost: portmapper:80\r\n\r\n", "GET /session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n"},
		{"absolute-form inside a CONNECT", "portmapper", "CONNECT portmapper:80 HTTP/1.1\r\nHost: portmapper:80\r\n\r\n", absolute},
		{"the port itself", "", "", "GET /session/ HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n"},
		{"HTTP/1.0 keep-alive", "portmapper", "", "GET http://portmapper/session/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t, withAPI(row.domain))
			c := g.client(0)
			if row.before != "" {
				c.send(row.before)
				c.expect(granted)
			}
			request := strings.ReplaceAll(row.request, "PORT", fmt.Sprint(g.relay.Ports()[0].Port()))
			for range 2 {
				c.send(request)
				res, body := c.apiAnswer()
				if body["session_id"] != "id1" || body["expired"] != false || body["session_time"] != 10.0 {
					t.Errorf("got %v", body)
				}
				expires, err := time.Parse(http.TimeFormat, body["expires_at"].(string))
				if left := time.Until(expires); err != nil || left < 9*time.Minute || left > 10*time.Minute {
					t.Errorf("expires_at %v is %v away (%v)", body["expires_at"], left, err)
				}
				for name, want := range map[string]string{
					"X-Session-Id": "id1", "X-Session-Time": "10", "X-Expires-At": body["expires_at"].(string),
					"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store",
				} {
					if got := res.Header.Get(name); got != want {
						t.Errorf("%s is %q; want %q", name, got, want)
					}
				}
				if _, err := time.Parse(http.TimeFormat, res.Header.Get("Date")); err != nil {
					t.Errorf("Date: %v", err)
				}
			}
		})
	}
}

func TestAPIRefusals(t *testing.T) {
	const through = "CONNECT portmapper:80 HTTP/1.1\r\nHost: portmapper:80\r\n\r\n"
	for _, row := range []struct {
		name, domain, before, request string
		status                        int
		class                         string
	}{
		{"another port", "portmapper", "", "GET http://portmapper:8080/session/ HTTP/1.1\r\nHost: portmapper:8080\r\n\r\n", 404, "not-found"},
		{"port 443", "portmapper", "", "CONNECT portmapper:443 HTTP/1.1\r\nHost: portmapper:443\r\n\r\n", 404, "not-found"},
		{"another port in Host", "portmapper", "", "GET /session/ HTTP/1.1\r\nHost: portmapper:1\r\n\r\n", 404, "not-found"},
		{"origin-form for another host", "portmapper", "", "GET /session/ HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "bad-request"},
		{"another host inside", "portmapper", through, "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", 404, "not-found"},
		{"another origin-form inside", "portmapper", through, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "bad-request"},
		{"CONNECT inside", "portmapper", through, "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 404, "not-found"},
		{"other path", "portmapper", "", "GET http://portmapper/ HTTP/1.1\r\nHost: portmapper\r\n\r\n", 404, "not-found"},
		{"other method", "portmapper", "", "DELETE http://portmapper/session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n", 405, "method-not-allowed"},
		{"bad JSON", "portmapper", "", "POST http://portmapper/session/new HTTP/1.1\r\nHost: portmapper\r\nContent-Length: 1\r\n\r\n{", 400, "bad-request"},
		{"too much", "portmapper", "", "POST http://portmapper/session/new HTTP/1.1\r\nHost: portmapper\r\nContent-Length: 70000\r\n\r\n" + strings.Repeat(" ", 70000), 413, "content-too-large"},
		{"too much, known from the head", "portmapper", "", "POST http://portmapper/session/new HTTP/1.1\r\nHost: portmapper\r\nExpect: 100-continue\r\nContent-Length: 70000\r\n\r\n", 413, "content-too-large"},
		{"asterisk-form", "portmapper", "", "OPTIONS * HTTP/1.1\r\nHost: portmapper\r\n\r\n", 400, "bad-request"},
		{"a page of another site", "portmapper", "", "GET http://portmapper/session/new HTTP/1.1\r\nHost: portmapper\r\nSec-Fetch-Site: cross-site\r\n\r\n", 403, "forbidden"},
		{"rebound name", "", "", "GET /session/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403, "forbidden"},
		{"other path of the port", "", "", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "not-found"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t, withAPI(row.domain))
			c := g.client(0)
			if row.before != "" {
				c.send(row.before)
				c.expect(granted)
			}
			c.send(row.request)
			c.expectAnswer(row.status, row.class, "")
		})
	}
}

// A client that sends call upon call has them answered one by one, and no more of it is read than is being answered.
func TestAPICallsWithoutEnd(t *testing.T) {
	const calls = 20000
	const one = "GET http://portmapper/session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n"
	g := newRig(t, withAPI("portmapper"), func(cfg *Config) { cfg.Loops = 1 })
	c := g.client(0)
	go func() { _, _ = io.WriteString(c.conn, strings.Repeat(one, calls)) }()
	l := g.relay.loops[0]
	most := 0
	for answered := range calls {
		if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
			t.Fatalf("got %q", head)
		}
		for line := ""; line != "}\n"; {
			var err error
			if line, err = c.r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		if answered%500 == 0 {
			held := make(chan int)
			l.do(func() { held <- len(l.conns[0].in.bytes()) })
			most = max(most, <-held)
		}
	}
	if most > 2*readSize {
		t.Errorf("%d bytes were held; want no more than one read brings", most)
	}
}

// Switched off, the domain is a host like any other.
func TestAPISwitchedOff(t *testing.T) {
	g := newRig(t)
	c := g.client(0)
	c.send("GET http://portmapper/session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n")
	if head := g.upstream().head(); !strings.HasPrefix(head, "GET http://portmapper/session/ ") {
		t.Errorf("the provider got %q", head)
	}
}

// The API's answers leave the connection as good as it was: requests of both kinds take turns on it, pipelined ones too.
func TestAPIBetweenRequests(t *testing.T) {
	const show = "GET http://portmapper/session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n"
	const bad = "GET http://portmapper/nothing HTTP/1.1\r\nHost: portmapper\r\n\r\n"
	g := newRig(t, withAPI("portmapper"))
	c, u := g.asked(get + show + bad + get)
	u.send(ok)
	c.expect(ok)
	c.apiAnswer()
	c.expectAnswer(404, "not-found", "")
	u.head() // over the same upstream connection
	u.send(ok)
	c.expect(ok)
}

// A FIN behind requests to the API, pipelined or inside a tunnel to it, takes none of their answers.
func TestAPIClientEndsAfterItsRequests(t *testing.T) {
	const show = "GET http://portmapper/session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n"
	g := newRig(t, withAPI("portmapper"))
	c := g.client(0)
	c.send(strings.Repeat(show, 100))
	c.fin()
	for range 100 {
		c.apiAnswer()
	}
	c.expectEnd()
	c = g.client(0)
	c.send("CONNECT portmapper:80 HTTP/1.1\r\nHost: portmapper:80\r\n\r\n" + show)
	c.fin()
	c.expect(granted)
	c.apiAnswer()
	c.expectEnd()
}

func TestAPIPost(t *testing.T) {
	for _, row := range []struct{ name, head, body string }{
		{"content-length", "Content-Length: 43\r\n", `{"UsernameParameters":{"cc":"de","n":1.50}}`},
		{"chunked", "Transfer-Encoding: chunked\r\n", "21\r\n{\"UsernameParameters\":{\"cc\":\"de\",\r\nb;x\r\n" + "\"n\": 1.50 }\r\n3\r\n}  \r\n0\r\nA: b\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t, withAPI("portmapper"), func(cfg *Config) {
				cfg.Mappings[0].Plan = newPlan(t, session.PlanConfig{
					Lifetime: time.Minute, Set: true, Account: &credential.Account{Username: "user", Password: "pass", Parameters: []credential.Parameter{
						{Name: "cc", Value: "$cc", Default: "us"}, {Name: "session", Value: "^id[1-9][0-9]{0,2}", SessionID: true},
					}},
				})
			})
			c := g.client(0)
			c.send(get)
			u := g.upstream()
			u.expect(strings.TrimSuffix(get, "\r\n") + basic("user-cc-us-session-id1", "pass") + "\r\n")
			u.send(ok)
			c.expect(ok)

			c.send("POST http://portmapper/session/new HTTP/1.1\r\nHost: portmapper\r\nExpect: 100-continue\r\n" + row.head + "\r\n")
			c.expect("HTTP/1.1 100 Continue\r\n\r\n")
			c.send(strings.Split(row.body, "")...)
			_, body := c.apiAnswer()
			if got := fmt.Sprint(body["username_parameters"]); got != "map[cc:de n:1.50]" {
				t.Errorf("got parameters %s", got)
			}
			c.send(get)
			u = g.upstream()
			u.expect(strings.TrimSuffix(get, "\r\n") + basic("user-cc-de-session-id2", "pass") + "\r\n")
		})
	}
}

func TestAPIReset(t *testing.T) {
	g := newRig(t, withAPI("portmapper"))
	c := g.client(0)
	c.send("GET http://portmapper/session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n")
	c.apiAnswer()
	c.send("GET http://portmapper/session/reset HTTP/1.1\r\nHost: portmapper\r\n\r\n")
	if _, body := c.apiAnswer(); body["success"] != true || len(body) != 1 {
		t.Errorf("got %v", body)
	}
	c.send(get)
	g.upstream().expect(strings.TrimSuffix(get, "\r\n") + credentialsOf(2) + "\r\n")
}

// A client that asks for the end of its connection gets it, with the answer.
func TestAPIConnectionClose(t *testing.T) {
	g := newRig(t, withAPI("portmapper"))
	c := g.client(0)
	c.send("GET http://portmapper/session/ HTTP/1.1\r\nHost: portmapper\r\nConnection: close\r\n\r\n")
	if res, _ := c.apiAnswer(); !res.Close {
		t.Error("the answer does not say Connection: close")
	}
	c.expectEnd()
}
