package credential

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// Accounts render the credentials of a mapping's sessions, for each of its servers. They never change, and may be used
// from any goroutine. Compile makes them.
type Accounts struct {
	lifetime  time.Duration
	id        value
	minutes   value
	templates []template // by server
	parse     bool
	warnings  []string
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
}

// Warnings are what the templates allow but hardly mean, each a sentence that says what to do about it.
func (a *Accounts) Warnings() []string { return a.warnings }

// Sets reports whether requests to that server carry credentials of ours.
func (a *Accounts) Sets(server int) bool {
	return server >= 0 && server < len(a.templates) && a.templates[server].sets
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
	return a.Sets(server) && a.templates[server].perConnection()
}

// AppendLine appends the field line Proxy-Authorization for that server, its CRLF included (RFC 7617 section 2); nothing
// if it gets no credentials of ours. What is drawn per connection is drawn anew.
func (a *Accounts) AppendLine(dst []byte, server int, b Binding) []byte {
	if !a.Sets(server) {
		return dst
	}
	a.complete(&b)
	return a.templates[server].appendLine(dst, &b)
}

// Credentials are those that AppendLine would send, for servers that want them apart. It is false if there are none.
func (a *Accounts) Credentials(server int, b Binding) (user, password string, ok bool) {
	if !a.Sets(server) {
		return "", "", false
	}
	a.complete(&b)
	user, password = a.templates[server].credentials(&b)
	return user, password, true
}

// complete draws what a connection that is alone has no session for.
func (a *Accounts) complete(b *Binding) {
	if b.Alone {
		b.Minutes, b.Lifetime, _ = a.Lifetime(b.Own, nil)
		b.ID = a.ID(b.Own, nil)
	}
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
// is an error.
func (a *Accounts) Lifetime(own, given []Pair) (minutes string, d time.Duration, err error) {
	if text := lookUp(given, a.minutes.from); text != "" {
		if _, err := ParseMinutes(text); err != nil {
			return "", a.lifetime, fmt.Errorf("%s=%q: %w", a.minutes.from, text, err)
		}
	}
	if _, err := ParseMinutes(lookUp(own, a.minutes.from)); err != nil {
		own = nil
	}
	minutes = a.minutes.resolve(own, given)
	n, err := ParseMinutes(minutes)
	if err != nil { // empty, or made by a pattern that makes minutes only now and then
		return "", a.lifetime, nil
	}
	return minutes, time.Duration(n) * time.Minute, nil
}

// LifetimeVaries reports whether the SessionTime parameter can come to have several values.
func (a *Accounts) LifetimeVaries() bool { return a.minutes.from != "" || a.minutes.random() }

// ParseMinutes reads a lifetime in whole minutes.
func ParseMinutes(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > MaxMinutes {
		return 0, fmt.Errorf("must be whole minutes from 0 to %d", MaxMinutes)
	}
	return int(n), nil
}

// ID draws a session id: as the SessionId parameter or the template says, else 8 letters.
func (a *Accounts) ID(own, given []Pair) string {
	if id := a.id.resolve(own, given); id != "" {
		return id
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var id [8]byte
	for i := range id {
		id[i] = letters[rand.IntN(len(letters))]
	}
	return string(id[:])
}
