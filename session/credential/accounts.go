package credential

import (
	"fmt"
	"math/rand/v2"
	"time"

	"proxymap/session/credential/pattern"
)

// Accounts render the credentials of a mapping's sessions, for each of its servers. They never change, and may be used
// from any goroutine. Compile makes them.
type Accounts struct {
	lifetime  time.Duration
	id        value
	letters   *pattern.Pattern // draws an id where nothing else says it
	minutes   value
	templates []template // by server
	parse     bool
	warnings  []Warning
}

// A Binding is what a session and a client connection bring into credentials.
type Binding struct {
	ID       string
	Minutes  string // the SessionTime parameter's value
	Lifetime time.Duration
	Own      []Pair // the client's parameters
	Given    []Pair // the session's

	// Alone says that the connection is a session of its own: ID, Minutes and Lifetime are drawn, and whatever its client
	// names counts.
	Alone bool

	drawn []byte // the id of a connection that is alone
}

// runtimeSource is the runtime's randomness, which needs no seed and no lock.
type runtimeSource struct{}

func (runtimeSource) Uint64() uint64 { return rand.Uint64() }

func orRuntime(src rand.Source) rand.Source {
	if src == nil {
		return runtimeSource{}
	}
	return src
}

// Warnings are what the templates allow but hardly mean, each a sentence that says what to do about it.
func (a *Accounts) Warnings() []Warning { return a.warnings }

// Sets reports whether requests to that server carry credentials of ours.
func (a *Accounts) Sets(server int) bool {
	return server >= 0 && server < len(a.templates) && a.templates[server].sets
}

// Account is the user name and the password that the credentials for that server are made of, as the settings have them.
func (a *Accounts) Account(server int) (user, password string) {
	if !a.Sets(server) {
		return "", ""
	}
	return a.templates[server].username, a.templates[server].password
}

// SetsAll reports whether requests to all servers do.
func (a *Accounts) SetsAll() bool {
	for i := range a.templates {
		if !a.templates[i].sets {
			return false
		}
	}
	return true
}

// Servers is how many servers there are.
func (a *Accounts) Servers() int { return len(a.templates) }

// PerConnection reports whether two client connections of one session can differ in their credentials for that server.
func (a *Accounts) PerConnection(server int) bool {
	return a.Sets(server) && a.templates[server].perConnection
}

// AppendLine appends the field line Proxy-Authorization for that server, its CRLF included (RFC 7617 section 2); nothing
// if it gets no credentials of ours. What is drawn per connection is drawn anew, of a source; nil is the runtime's
// randomness. The same source in the same state gives the same line.
func (a *Accounts) AppendLine(dst []byte, src rand.Source, server int, b Binding) []byte {
	if !a.Sets(server) {
		return dst
	}
	var id [pattern.MaxLength]byte
	src = orRuntime(src)
	b = a.complete(b, src, id[:0])
	return a.templates[server].appendLine(dst, src, &b)
}

// Credentials are those that AppendLine would send, for servers that want them apart. It is false if there are none.
func (a *Accounts) Credentials(src rand.Source, server int, b Binding) (user, password string, ok bool) {
	if !a.Sets(server) {
		return "", "", false
	}
	var id [pattern.MaxLength]byte
	src = orRuntime(src)
	b = a.complete(b, src, id[:0])
	user, password = a.templates[server].credentials(src, &b)
	return user, password, true
}

// complete draws what a connection that is alone has no session for; id is room for its id.
func (a *Accounts) complete(b Binding, src rand.Source, id []byte) Binding {
	if b.Alone {
		b.Minutes, b.Lifetime, _ = a.Lifetime(src, b.Own, nil)
		b.drawn = a.appendID(id, src, b.Own, nil)
	}
	return b
}

// Check refuses parameters given to a session that a template has no use for as they are. The error is meant for who
// gave them.
func (a *Accounts) Check(given []Pair) (err error) {
	if len(given) == 0 {
		return nil
	}
	refuse := func(part *part) {
		v := &part.value
		if s := lookUp(given, v.from); s != "" && !v.takes(s) && err == nil {
			err = fmt.Errorf("%s=%q: must be letters, digits and %s, or the provider could read it as something else", v.from, s, orElse(v.legal, "nothing else"))
		}
	}
	for i := range a.templates {
		if form := a.templates[i].form; form != nil {
			eachPart(form.user, refuse)
			eachPart(form.pass, refuse)
		}
	}
	return err
}

// Lifetime resolves the SessionTime parameter, which comes before the session id and overrides the configured lifetime;
// 0: each client connection is a session of its own. A client's own value that is none counts as not given; a given one
// is an error. A nil source is the runtime's randomness.
func (a *Accounts) Lifetime(src rand.Source, own, given []Pair) (minutes string, d time.Duration, err error) {
	if text := lookUp(given, a.minutes.from); text != "" {
		if _, err := ParseMinutes(text); err != nil {
			return "", a.lifetime, fmt.Errorf("%s=%q: %w", a.minutes.from, text, err)
		}
	}
	if _, ok := minutesOf(lookUp(own, a.minutes.from)); !ok {
		own = nil
	}
	minutes, draw := a.minutes.find(own, given)
	if draw != nil {
		minutes = string(draw.Append(nil, orRuntime(src)))
	}
	n, ok := minutesOf(minutes)
	if !ok { // empty, or made by a pattern that makes minutes only now and then
		return "", a.lifetime, nil
	}
	return minutes, time.Duration(n) * time.Minute, nil
}

// Alone reports whether the connections of a client with those parameters are sessions of their own, each of them:
// Lifetime is 0, and nothing is drawn for it.
func (a *Accounts) Alone(own []Pair) bool {
	if _, draw := a.minutes.find(own, nil); draw != nil {
		return false
	}
	_, lifetime, _ := a.Lifetime(nil, own, nil)
	return lifetime == 0
}

// LifetimeVaries reports whether the SessionTime parameter can come to have several values.
func (a *Accounts) LifetimeVaries() bool { return a.minutes.from != "" || a.minutes.random() }

// ParseMinutes reads a lifetime in whole minutes.
func ParseMinutes(s string) (int, error) {
	if n, ok := minutesOf(s); ok {
		return n, nil
	}
	return 0, fmt.Errorf("must be whole minutes from 0 to %d", MaxMinutes)
}

func minutesOf(s string) (n int, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		if n = 10*n + int(s[i]-'0'); n > MaxMinutes {
			return 0, false
		}
	}
	return n, s != ""
}

// ID draws a session id: as the SessionId parameter or the template says, else 8 letters. A nil source is the runtime's
// randomness.
func (a *Accounts) ID(src rand.Source, own, given []Pair) string {
	var id [pattern.MaxLength]byte
	return string(a.appendID(id[:0], orRuntime(src), own, given))
}

// ChoosesID reports whether the id of a session with these parameters is what a client has written, its own or one given to
// the session.
func (a *Accounts) ChoosesID(own, given []Pair) bool {
	return a.id.from != "" && (a.id.takes(lookUp(own, a.id.from)) || a.id.takes(lookUp(given, a.id.from)))
}

// CouldMakeID reports whether ID could make that id for a session that was given these parameters.
func (a *Accounts) CouldMakeID(id string, given []Pair) bool {
	switch text, draw := a.id.find(nil, given); {
	case draw != nil && draw.Matches(""):
		return draw.Matches(id) || a.letters.Matches(id)
	case draw != nil:
		return draw.Matches(id)
	case text != "":
		return id == text
	}
	return a.letters.Matches(id)
}

func (a *Accounts) appendID(dst []byte, src rand.Source, own, given []Pair) []byte {
	start := len(dst)
	if dst = a.id.append(dst, src, own, given); len(dst) > start {
		return dst
	}
	return a.letters.Append(dst, src)
}
