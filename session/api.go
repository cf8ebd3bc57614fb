package session

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"proxymap/session/credential"
	"proxymap/session/wire"
)

// An API is how the Session API is reached on the ports of a mapping. The zero value is switched off.
type API struct {
	Enabled       bool
	Domain        string // the virtual host that it answers for; empty: the port itself, asked without a proxy
	RequireHeader bool   // new and reset need "X-Proxymap: 1", which no web page can send
}

// Owns reports whether host, without a port, is the API's domain.
func (a *API) Owns(host []byte) bool {
	host = bytes.TrimSuffix(host, []byte(".")) // the same name, made absolute
	return a.Enabled && a.Domain != "" && bytes.EqualFold(host, []byte(a.Domain))
}

// A Request is a call of the API. Nothing in it is kept.
type Request struct {
	Method, Path, Query []byte // Query without the "?"
	Host                []byte // host[:port] that the request was made to: of an absolute-form target, else of the Host field
	Direct              bool   // made to the port itself
	Listen              netip.AddrPort
	Client              *Client // that asks: /session/ makes a session for it

	// Values of the fields Origin, Referer, Sec-Fetch-Site and X-Proxymap; nil: the field is not there.
	Origin, Referer, FetchSite, Header []byte

	Body []byte // at most MaxBody bytes
}

// MaxBody is the size in bytes of the largest body that a call may have.
const MaxBody = 64 << 10

// An Answer is what a call is answered with.
type Answer struct {
	Status      int    // 200, 400, 403, 404 or 405
	Class       string // of an error: bad-request, forbidden, not-found or method-not-allowed
	Fields      []byte // field lines, each with its CRLF
	ContentType string
	Body        []byte // JSON on 200, else a line that says what is wrong and what to do
	Change      Change // made by the call: the answer waits until it holds

	// Rotates says that the call was new or reset, and OnRotate what it wants done to the connections of sessions that are
	// no longer the port's. Where that is not Keep, the answer says how many they were: see WithConnections.
	Rotates  bool
	OnRotate OnRotate

	text func(*wire.Connections) []byte // renders Body, on 200
}

// OnRotate is what becomes of a session's connections when another takes its place.
type OnRotate uint8

const (
	OnRotateDefault OnRotate = iota // what the port's settings say
	Keep                            // they stay where they are
	Drain                           // idle ones close, the others get some time to end
	CloseAll                        // they are closed
)

// ParseOnRotate reads keep, drain or close, in any case.
func ParseOnRotate(text string) (OnRotate, bool) {
	switch strings.ToLower(text) {
	case "keep":
		return Keep, true
	case "drain":
		return Drain, true
	case "close":
		return CloseAll, true
	}
	return OnRotateDefault, false
}

// WithConnections is an answer of status 200 with a last member that says how many connections were closed, and how many are given
// time to end.
func (a Answer) WithConnections(closed, draining int) Answer {
	a.Body = a.text(&wire.Connections{Closed: closed, Draining: draining})
	return a
}

// Answer carries out a call at that moment and says how to answer it. The answer to HEAD is the one to GET, Body included:
// who sends it leaves that out.
func (a *API) Answer(slot *Slot, r *Request, now int64) Answer {
	if r.Direct && !LocalHost(r.Host, r.Listen) {
		return refusal(403, "forbidden", "the Host must be localhost, the listen address or another IP address, and none of 0.0.0.0, [::] and [::ffff:...]; with others a web page could get here")
	}
	var call func(*Slot, *Request, int64) Answer
	var allow []string // HEAD is safe (RFC 9110 section 9.2.1), and so never new or reset: it does not rotate
	switch string(r.Path) {
	case "/session/":
		call, allow = show, []string{"GET", "HEAD"}
	case "/session/new":
		call, allow = renew, []string{"GET", "POST"}
	case "/session/reset":
		call, allow = reset, []string{"GET"}
	default:
		return refusal(404, "not-found", "the Session API has /session/, /session/new and /session/reset")
	}
	if !slices.Contains(allow, string(r.Method)) {
		list := strings.Join(allow, ", ")
		answer := refusal(405, "method-not-allowed", "allowed here: "+list)
		answer.Fields = append(answer.Fields, "Allow: "+list+"\r\n"...)
		return answer
	}
	if string(r.Path) != "/session/" {
		if why := a.crossSite(r); why != "" {
			return refusal(403, "forbidden", why)
		}
	}
	return call(slot, r, now)
}

func show(slot *Slot, r *Request, now int64) Answer {
	old := slot.Peek(now)
	s := slot.Current(now, r.Client)
	answer := shown(s)
	if s != old {
		answer.Change = Change{New: s}
	}
	return answer
}

func renew(slot *Slot, r *Request, now int64) Answer {
	params, onRotate, err := parameters(r)
	if err != nil {
		return refusal(400, "bad-request", err.Error())
	}
	change, err := slot.Renew(now, params)
	if err != nil {
		return refusal(400, "bad-request", err.Error())
	}
	answer := shown(change.New)
	answer.Change, answer.Rotates, answer.OnRotate = change, true, onRotate
	return answer
}

func reset(slot *Slot, r *Request, now int64) Answer {
	_, onRotate, err := parameters(&Request{Method: r.Method, Query: r.Query})
	if err != nil {
		return refusal(400, "bad-request", err.Error())
	}
	answer := success(wire.Reset{Success: true}.Text)
	answer.Change, answer.Rotates, answer.OnRotate = slot.Reset(now), true, onRotate
	return answer
}

// shown answers with a session; nil shows what there is to be seen where each connection is one.
func shown(s *Session) Answer {
	if s == nil {
		answer := success(wire.Session{}.Text)
		answer.Fields = append(answer.Fields, "X-Session-Time: 0\r\n"...)
		return answer
	}
	expires := wire.Date(s.expires)
	body := wire.Session{ID: &s.id, Expires: &expires, Time: s.lifetime.Minutes()}
	for _, p := range s.params {
		body.Parameters = append(body.Parameters, wire.Parameter(p))
	}
	answer := success(body.Text)
	answer.Fields = fmt.Appendf(answer.Fields, "X-Session-Id: %s\r\nX-Session-Time: %v\r\nX-Expires-At: %s\r\n", s.id, body.Time, expires)
	return answer
}

// success answers with a text that may tell of connections.
func success(text func(*wire.Connections) []byte) Answer {
	return Answer{
		Status: 200, Fields: []byte("Cache-Control: no-store\r\n"),
		ContentType: "application/json; charset=utf-8", Body: text(nil), text: text,
	}
}

func refusal(status int, class, why string) Answer {
	return Answer{
		Status: status, Class: class, Fields: []byte("Cache-Control: no-store\r\n"),
		ContentType: "text/plain; charset=utf-8", Body: []byte("proxymap: " + why + "\n"),
	}
}

// onRotateName is the one name in a query that is not a parameter's.
const onRotateName = "on_rotate"

// parameters reads those of a call of /session/new, and what is to become of the connections: from its query, and from
// its body.
func parameters(r *Request) ([]Pair, OnRotate, error) {
	pairs, err := queryParameters(string(r.Query))
	onRotate := OnRotateDefault
	for i, p := range pairs {
		if p.Name == onRotateName {
			if onRotate, err = readOnRotate(p.Value); err != nil {
				return nil, 0, err
			}
			if pairs = slices.Delete(pairs, i, i+1); len(pairs) == 0 {
				pairs = nil // none were given
			}
			break // a second one is no name of a parameter
		}
	}
	if err == nil && string(r.Method) == "POST" {
		pairs, onRotate, err = readBody(pairs, onRotate, r.Body)
	}
	if err != nil {
		return nil, 0, err
	}
	return pairs, onRotate, checkParameters(pairs)
}

func readOnRotate(text string) (OnRotate, error) {
	if v, ok := ParseOnRotate(text); ok {
		return v, nil
	}
	return 0, fmt.Errorf("%s: value %.80q: must be keep, drain or close", onRotateName, text)
}

func checkParameters(pairs []Pair) error {
	if len(pairs) > credential.MaxParameters {
		return fmt.Errorf("%d parameters are given; at most %d are allowed", len(pairs), credential.MaxParameters)
	}
	seen := make(map[string]bool, len(pairs))
	for _, p := range pairs {
		switch {
		case p.Name == onRotateName:
			return fmt.Errorf("%s is given more than once", onRotateName)
		case isLikeOnRotate(p.Name):
			return fmt.Errorf("parameter %q: write %s for what becomes of the connections; no parameter may have a name that is so like it", p.Name, onRotateName)
		case !credential.IsName(p.Name):
			return fmt.Errorf("parameter %.80q: a name is 1 to %d letters, digits and -._~", p.Name, credential.MaxName)
		case len(p.Value) > credential.MaxValue:
			return fmt.Errorf("parameter %q: the value is longer than %d bytes", p.Name, credential.MaxValue)
		case !utf8.ValidString(p.Value) || !credential.IsClean(p.Value):
			return fmt.Errorf("parameter %q: the value holds a colon or a control character, which a user name cannot", p.Name)
		case seen[p.Name]:
			return fmt.Errorf("parameter %q is given more than once", p.Name)
		}
		seen[p.Name] = true
	}
	return nil
}

// isLikeOnRotate reports whether a name is on_rotate but for its case and its underscores, and so hardly meant for a
// parameter: the settings and bodies have OnRotate.
func isLikeOnRotate(name string) bool {
	return strings.EqualFold(strings.ReplaceAll(name, "_", ""), "OnRotate")
}

func queryParameters(query string) (pairs []Pair, err error) {
	for _, pair := range strings.Split(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		if name, err = url.QueryUnescape(name); err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil {
			return nil, errors.New("the query holds a percent sign that is not followed by two hexadecimal digits")
		}
		pairs = append(pairs, Pair{Name: name, Value: value})
	}
	return pairs, nil
}

// ParseBody reads the body of a call of /session/new: the parameters of the new session, and what is to become of the
// connections. The error is meant for the client.
func ParseBody(body []byte) ([]Pair, OnRotate, error) {
	pairs, onRotate, err := readBody(nil, OnRotateDefault, body)
	if err != nil {
		return nil, 0, err
	}
	return pairs, onRotate, checkParameters(pairs)
}

// readBody appends the parameters of a body, and reads what it says of the connections.
func readBody(pairs []Pair, onRotate OnRotate, body []byte) ([]Pair, OnRotate, error) {
	call, err := wire.ReadCall(body)
	if err != nil {
		return nil, 0, err
	}
	if call.OnRotate != nil {
		if onRotate != OnRotateDefault {
			return nil, 0, errors.New("both the query and the body say on_rotate")
		}
		if onRotate, err = readOnRotate(*call.OnRotate); err != nil {
			return nil, 0, err
		}
	}
	for _, p := range call.Parameters {
		pairs = append(pairs, Pair(p))
	}
	return pairs, onRotate, nil
}
