package session

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proxymap/session/credential"
)

var testAPI = API{Enabled: true, Domain: "portmapper"}

// call is a request to the API's domain.
func call(method, target string) *Request {
	path, query, _ := strings.Cut(target, "?")
	return &Request{Method: []byte(method), Path: []byte(path), Query: []byte(query), Host: []byte("portmapper")}
}

func articleSlot(t *testing.T, params ...credential.Parameter) *Slot {
	return NewSlot(mustPlan(t, PlanConfig{
		Lifetime: 10 * time.Minute, Account: &credential.Account{Parameters: append(params, credential.Parameter{Name: "session", Value: "^[A-Za-z]{8}", SessionID: true})},
	}))
}

// What the users were promised, word for word.
func TestArticle(t *testing.T) {
	slot, article := articleSlot(t), map[string]string{} // from the ids that were drawn to those that the article shows
	const first = `{
  "session_id": "LZpmRqdu",
  "expires_at": "Wed, 10 Jun 2026 16:19:43 GMT",
  "expired": false,
  "session_time": 10
}
`
	second := strings.Replace(strings.Replace(first, "LZpmRqdu", "uawxmttg", 1), "19:43", "19:48", 1)
	later := now + int64(5*time.Second)
	for i, step := range []struct {
		target string
		at     int64
		want   string
	}{
		{"/session/", now, first},
		{"/session/", later, first},
		{"/session/new", later, second},
		{"/session/", later, second},
		{"/session/reset", later, "{\n  \"success\": true\n}\n"},
		{"/session/", later, strings.Replace(second, "uawxmttg", "qYtRbnEe", 1)},
	} {
		got := testAPI.Answer(slot, call("GET", step.target), step.at)
		if got.Status != 200 || got.ContentType != "application/json; charset=utf-8" {
			t.Errorf("step %d: status %d, type %q", i, got.Status, got.ContentType)
		}
		body := string(got.Body)
		if s := slot.Last(); s != nil {
			if article[s.ID()] == "" {
				article[s.ID()] = []string{"LZpmRqdu", "uawxmttg", "qYtRbnEe"}[len(article)]
			}
			body = strings.ReplaceAll(body, s.ID(), article[s.ID()])
		}
		if diff := cmp.Diff(step.want, body); diff != "" {
			t.Errorf("step %d, %s (-want +got):\n%s", i, step.target, diff)
		}
	}
}

// HEAD is answered as GET is, makes a session where there is none, as that does, and never rotates.
func TestHead(t *testing.T) {
	slot := articleSlot(t)
	head := testAPI.Answer(slot, call("HEAD", "/session/"), now)
	get := testAPI.Answer(slot, call("GET", "/session/"), now)
	if head.Status != 200 || string(head.Fields) != string(get.Fields) || string(head.Body) != string(get.Body) || head.Change.New == nil {
		t.Errorf("HEAD is answered %d, %q, %q; want what GET is: %q, %q", head.Status, head.Fields, head.Body, get.Fields, get.Body)
	}
	for _, path := range []string{"/session/new", "/session/reset"} {
		before := slot.Last()
		if got := testAPI.Answer(slot, call("HEAD", path), now); got.Status != 405 || slot.Last() != before {
			t.Errorf("HEAD %s: status %d, the session is another: %v", path, got.Status, slot.Last() != before)
		}
	}
}

func TestFields(t *testing.T) {
	slot := articleSlot(t)
	want := "Cache-Control: no-store\r\nX-Session-Id: " + slot.Current(now, nil).ID() + "\r\nX-Session-Time: 10\r\nX-Expires-At: Wed, 10 Jun 2026 16:19:43 GMT\r\n"
	if got := string(testAPI.Answer(slot, call("GET", "/session/"), now).Fields); got != want {
		t.Errorf("got %q; want %q", got, want)
	}
}

func TestLifetimeZeroShowsNulls(t *testing.T) {
	slot := NewSlot(mustPlan(t, PlanConfig{}))
	for _, target := range []string{"/session/", "/session/new"} {
		got := testAPI.Answer(slot, call("GET", target), now)
		want := "{\n  \"session_id\": null,\n  \"expires_at\": null,\n  \"expired\": false,\n  \"session_time\": 0\n}\n"
		if diff := cmp.Diff(want, string(got.Body)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", target, diff)
		}
		if strings.Contains(string(got.Fields), "X-Session-Id") {
			t.Errorf("%s: fields %q name a session", target, got.Fields)
		}
	}
}

// Parameters that would belong to no session are not swallowed.
func TestLifetimeZeroTakesNoParameters(t *testing.T) {
	slot := NewSlot(mustPlan(t, PlanConfig{Remedy: "set StickyProxyLifetime"}))
	if got := testAPI.Answer(slot, call("GET", "/session/new?country=de"), now); got.Status != 400 || !strings.Contains(string(got.Body), "StickyProxyLifetime") {
		t.Errorf("got %d %s; want 400 and why", got.Status, got.Body)
	}
}

func TestStatuses(t *testing.T) {
	for _, row := range []struct {
		method, target string
		status         int
		class, allow   string
	}{
		{"GET", "/session/", 200, "", ""},
		{"GET", "/session/?x=y", 200, "", ""},
		{"GET", "/session/new", 200, "", ""},
		{"POST", "/session/new", 200, "", ""},
		{"GET", "/session/reset", 200, "", ""},
		{"POST", "/session/", 405, "method-not-allowed", "Allow: GET, HEAD\r\n"},
		{"HEAD", "/session/new", 405, "method-not-allowed", "Allow: GET, POST\r\n"},
		{"HEAD", "/session/reset", 405, "method-not-allowed", "Allow: GET\r\n"},
		{"POST", "/session/reset", 405, "method-not-allowed", "Allow: GET\r\n"},
		{"PUT", "/session/new", 405, "method-not-allowed", "Allow: GET, POST\r\n"},
		{"OPTIONS", "/session/new", 405, "method-not-allowed", "Allow: GET, POST\r\n"},
		{"get", "/session/", 405, "method-not-allowed", "Allow: GET, HEAD\r\n"},
		{"GET", "/session", 404, "not-found", ""},
		{"GET", "/", 404, "not-found", ""},
		{"GET", "/session/new/", 404, "not-found", ""},
		{"GET", "/Session/", 404, "not-found", ""},
	} {
		got := testAPI.Answer(testSlot(t), call(row.method, row.target), now)
		if got.Status != row.status || got.Class != row.class || !strings.Contains(string(got.Fields), row.allow) {
			t.Errorf("%s %s: got %d %q %q; want %d %q %q", row.method, row.target, got.Status, got.Class, got.Fields, row.status, row.class, row.allow)
		}
		if got.Class != "" && strings.Count(string(got.Body), "\n") != 1 {
			t.Errorf("%s %s: the text is %q; want one line", row.method, row.target, got.Body)
		}
	}
}

// Parameters come from the query or from JSON, are shown in their order, and feed the $names.
func TestParameters(t *testing.T) {
	many := strings.Repeat("&a=b", 0)
	for i := range 33 {
		many += fmt.Sprintf("&p%d=v", i)
	}
	for _, row := range []struct {
		name, query, body string
		want              string // the username_parameters, or what the error says
		status            int
	}{
		{"query", "country=us&city=new+york", "", `{"country":"us","city":"new york"}`, 200},
		{"percent-encoded", "%63ountry=%75s", "", `{"country":"us"}`, 200},
		{"no value", "country", "", `{"country":""}`, 200},
		{"none", "", "", "", 200},
		{"stray ampersands", "&&a=b&", "", `{"a":"b"}`, 200},
		{"markup", "a=<b>", "", `{"a":"\u003cb\u003e"}`, 200},
		{"JSON", "", `{"UsernameParameters":{"country":"us"}}`, `{"country":"us"}`, 200},
		{"JSON, other case", "", `{"usernameparameters":{"country":"us"}}`, `{"country":"us"}`, 200},
		{"JSON kinds", "", `{"UsernameParameters":{"z":null,"n":1.50,"b":true,"s":"x"}}`, `{"z":"","n":"1.50","b":"true","s":"x"}`, 200},
		{"JSON null", "", `{"UsernameParameters":null}`, "", 200},
		{"JSON empty", "", `{}`, "", 200},
		{"empty body", "", " \r\n", "", 200},
		{"both", "a=1", `{"UsernameParameters":{"b":2}}`, `{"a":"1","b":"2"}`, 200},
		{"bad percent-encoding", "a=%zz", "", "percent sign", 400},
		{"repeated", "a=1&a=2", "", "more than once", 400},
		{"repeated in JSON", "", `{"UsernameParameters":{"a":1,"a":2}}`, "more than once", 400},
		{"repeated in both", "a=1", `{"UsernameParameters":{"a":2}}`, "more than once", 400},
		{"no name", "=1", "", "a name is", 400},
		{"name with a space", "a+b=1", "", "a name is", 400},
		{"long name", strings.Repeat("x", 65) + "=1", "", "a name is", 400},
		{"long value", "a=" + strings.Repeat("x", 257), "", "longer than 256", 400},
		{"too many", many[1:], "", "at most 32", 400},
		{"colon", "a=b:c", "", "colon", 400},
		{"line end", "a=b%0d%0aX:y", "", "control character", 400},
		{"not UTF-8", "a=%ff", "", "control character", 400},
		{"bad JSON", "", `{"UsernameParameters":`, "the body must be", 400},
		{"not an object", "", `[]`, "the body must be", 400},
		{"unknown member", "", `{"Parameters":{}}`, "the body must be", 400},
		{"two documents", "", `{} {}`, "the body must be", 400},
		{"nested", "", `{"UsernameParameters":{"a":{"b":1}}}`, "must be a string", 400},
		{"list", "", `{"UsernameParameters":{"a":[1]}}`, "must be a string", 400},
		{"a string for the object", "", `{"UsernameParameters":"a=b"}`, "the body must be", 400},
	} {
		t.Run(row.name, func(t *testing.T) {
			slot := testSlot(t)
			before := slot.Current(now, nil)
			r := call("POST", "/session/new")
			r.Query, r.Body = []byte(row.query), []byte(row.body)
			got := testAPI.Answer(slot, r, now)
			if got.Status != row.status {
				t.Fatalf("got %d, %s; want %d", got.Status, got.Body, row.status)
			}
			if row.status != 200 {
				if slot.Current(now, nil) != before || got.Change != (Change{}) {
					t.Error("a refused call has changed the session")
				}
				if !strings.Contains(string(got.Body), row.want) {
					t.Errorf("got %q; want a text that says %q", got.Body, row.want)
				}
				return
			}
			flat := strings.NewReplacer("\n", "", "    ", "", "\": ", "\":").Replace(string(got.Body))
			flat = strings.NewReplacer("  \"", "\"", "  }", "}").Replace(flat)
			if !strings.Contains(flat, `"username_parameters":`+row.want) && row.want != "" || row.want == "" && strings.Contains(flat, "username_parameters") {
				t.Errorf("got %s; want username_parameters %s", flat, row.want)
			}
		})
	}
}

// ?session and ?sessTime set the id and the lifetime where the settings let them.
func TestParametersOfTheSession(t *testing.T) {
	slot := NewSlot(mustPlan(t, PlanConfig{Lifetime: time.Minute, Account: &credential.Account{Parameters: []credential.Parameter{
		{Name: "session", Value: "$session", SessionID: true}, {Name: "sessTime", Value: "$sessTime", SessionTime: true},
	}}}))
	got := testAPI.Answer(slot, call("GET", "/session/new?session=abc&sessTime=30"), now)
	if s := got.Change.New; s == nil || s.ID() != "abc" || s.Lifetime() != 30*time.Minute {
		t.Errorf("got %+v; want id abc for 30 minutes", s)
	}
	got = testAPI.Answer(slot, call("GET", "/session/new?sessTime=soon"), now)
	if got.Status != 400 || !strings.Contains(string(got.Body), "whole minutes") || slot.Current(now, nil).ID() != "abc" {
		t.Errorf("got %d %s; want 400 and the session as it was", got.Status, got.Body)
	}
}

// Looking at a session changes nothing, unless it has to make one.
func TestChanges(t *testing.T) {
	slot := testSlot(t)
	if c := testAPI.Answer(slot, call("GET", "/session/"), now).Change; c.New == nil {
		t.Error("making a session is no change")
	}
	if c := testAPI.Answer(slot, call("GET", "/session/"), now).Change; c != (Change{}) {
		t.Errorf("looking changed %+v", c)
	}
}

// A web page that is shown through the port must not rotate it.
func TestBrowserRule(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*Request)
		status int
	}{
		{"curl", func(*Request) {}, 200},
		{"typed into the address bar", func(r *Request) { r.FetchSite = []byte("none") }, 200},
		{"same origin", func(r *Request) {
			r.FetchSite, r.Origin, r.Referer = []byte("same-origin"), []byte("http://portmapper"), []byte("http://portmapper/session/")
		}, 200},
		{"same origin with the port", func(r *Request) { r.Origin = []byte("http://PORTMAPPER:80") }, 200},
		{"cross-site", func(r *Request) { r.FetchSite = []byte("cross-site") }, 403},
		{"same-site", func(r *Request) { r.FetchSite = []byte("same-site") }, 403},
		{"a site value of the future", func(r *Request) { r.FetchSite = []byte("near-site") }, 403},
		{"foreign Origin", func(r *Request) { r.Origin = []byte("http://evil.example") }, 403},
		{"Origin of another scheme", func(r *Request) { r.Origin = []byte("https://portmapper") }, 403},
		{"Origin of another port", func(r *Request) { r.Origin = []byte("http://portmapper:8080") }, 403},
		{"Origin that begins alike", func(r *Request) { r.Origin = []byte("http://portmapper.evil.example") }, 403},
		{"null Origin", func(r *Request) { r.Origin = []byte("null") }, 403},
		{"empty Origin", func(r *Request) { r.Origin = []byte("") }, 403},
		{"foreign Referer", func(r *Request) { r.Referer = []byte("http://evil.example/portmapper") }, 403},
		{"Referer with user information", func(r *Request) { r.Referer = []byte("http://portmapper@evil.example/") }, 403},
		{"Referer that is none", func(r *Request) { r.Referer = []byte("about:blank") }, 403},
	} {
		for _, path := range []string{"/session/new", "/session/reset"} {
			r := call("GET", path)
			row.change(r)
			if got := testAPI.Answer(testSlot(t), r, now); got.Status != row.status {
				t.Errorf("%s, %s: got %d; want %d", row.name, path, got.Status, row.status)
			}
		}
		r := call("GET", "/session/")
		row.change(r)
		if got := testAPI.Answer(testSlot(t), r, now); got.Status != 200 {
			t.Errorf("%s: looking gets %d; want 200", row.name, got.Status)
		}
	}
}

func TestRequireHeader(t *testing.T) {
	api := API{Enabled: true, Domain: "portmapper", RequireHeader: true}
	for _, row := range []struct {
		target, value string
		status        int
	}{
		{"/session/new", "", 403}, {"/session/new", "0", 403}, {"/session/new", "1", 200},
		{"/session/reset", "", 403}, {"/session/reset", "1", 200}, {"/session/", "", 200},
	} {
		r := call("GET", row.target)
		if row.value != "" {
			r.Header = []byte(row.value)
		}
		if got := api.Answer(testSlot(t), r, now); got.Status != row.status {
			t.Errorf("%s with %q: got %d; want %d", row.target, row.value, got.Status, row.status)
		}
	}
}

// Asked on the port itself, a name in Host could be anybody's (DNS rebinding). Other spellings of loopback addresses are
// refused as well, for browsers do not send them Sec-Fetch-Site.
func TestDirectHost(t *testing.T) {
	api := API{Enabled: true}
	for host, status := range map[string]int{
		"127.0.0.1:10201": 200, "127.0.0.1": 200, "[::1]:10201": 200, "[::1]": 200, "10.1.2.3:10201": 200, "localhost": 200, "LOCALHOST:10201": 200,
		"": 403, "evil.example:10201": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example": 403, "evil.example": 403,
		"0.0.0.0:10201": 403, "0.0.0.0": 403, "[::]:10201": 403, "[::]": 403, "[::ffff:127.0.0.1]:10201": 403, "[::ffff:7f00:1]": 403, "[::ffff:0.0.0.0]:1": 403,
	} {
		for _, path := range []string{"/session/", "/session/new"} {
			r := call("GET", path)
			r.Host, r.Direct, r.Listen = []byte(host), true, netip.MustParseAddrPort("127.0.0.1:10201")
			if got := api.Answer(testSlot(t), r, now); got.Status != status {
				t.Errorf("%s with Host %q: got %d; want %d", path, host, got.Status, status)
			}
		}
	}
}

func TestOwns(t *testing.T) {
	for _, row := range []struct {
		api  API
		host string
		want bool
	}{
		{testAPI, "portmapper", true}, {testAPI, "PortMapper", true}, {testAPI, "portmapper.", true}, {testAPI, "portmapper..", false}, {testAPI, "x", false}, {testAPI, "", false},
		{API{Domain: "portmapper"}, "portmapper", false}, {API{Enabled: true}, "", false},
	} {
		if got := row.api.Owns([]byte(row.host)); got != row.want {
			t.Errorf("%+v, %q: got %v", row.api, row.host, got)
		}
	}
}

// A name that is on_rotate but for its case and underscores was a parameter of the user name, and the connections stayed.
func TestNamesLikeOnRotate(t *testing.T) {
	for _, name := range []string{"On_Rotate", "OnRotate", "onrotate", "ON_ROTATE", "_on__rotate_"} {
		slot := articleSlot(t)
		body := call("POST", "/session/new")
		body.Body = []byte(`{"UsernameParameters":{"` + name + `":"close"}}`)
		for _, r := range []*Request{call("GET", "/session/new?"+name+"=close"), call("GET", "/session/new?on_rotate=keep&"+name+"=close"), call("GET", "/session/reset?"+name+"=close"), body} {
			got := testAPI.Answer(slot, r, now)
			if got.Status != 400 || !strings.Contains(string(got.Body), "write on_rotate for") || slot.Last() != nil {
				t.Errorf("%s?%s %s: got %d %q", r.Path, r.Query, r.Body, got.Status, got.Body)
			}
		}
	}
	for _, name := range []string{"rotate", "on-rotate", "on_rotate2"} {
		if got := testAPI.Answer(articleSlot(t), call("GET", "/session/new?"+name+"=close"), now); got.Status != 200 {
			t.Errorf("%s: got %d %q; want a parameter", name, got.Status, got.Body)
		}
	}
}
