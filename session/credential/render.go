package credential

import (
	"math/rand/v2"

	"proxymap/session/credential/pattern"
)

// A template makes the credentials for one server. The zero value makes none.
type template struct {
	sets               bool
	username, password string // the account's
	*form
}

// A form is how a user name and a password are put together: of an account's Parameters, or of its Template.
type form struct {
	user, pass []group

	perConnection bool // two client connections of one session can differ in their credentials

	// Of a Template:
	hasTemplate bool
	punctuation string // that its parameters' values can hold
	ids         idRule
	ttl         ttlRule
}

// A group of parts. An optional one vanishes when a part of it is empty.
type group struct {
	optional bool
	parts    []part
}

// A part of a user name or a password.
type part struct {
	kind   partKind
	text   string // of partLiteral; never empty
	value  value  // of partValue
	client bool   // read from the user name of each client, not only of the one that the session is made for
}

type partKind uint8

const (
	partLiteral  partKind = iota
	partUsername          // the account's
	partPassword          // the account's
	partID
	partMinutes // the value of the SessionTime parameter
	partTTL     // the lifetime, as the template's rule has it
	partValue
)

// differs reports whether groups can come out otherwise for another client connection.
func differs(groups []group) bool {
	for i := range groups {
		for j := range groups[i].parts {
			if p := &groups[i].parts[j]; p.client || p.value.random() {
				return true
			}
		}
	}
	return false
}

// append appends a user name or a password.
func (t *template) append(dst []byte, src rand.Source, groups []group, b *Binding) []byte {
	for i := range groups {
		g := &groups[i]
		start, vanishes := len(dst), false
		for j := range g.parts {
			before := len(dst)
			dst = t.appendPart(dst, src, &g.parts[j], b)
			vanishes = vanishes || g.optional && len(dst) == before
		}
		if vanishes {
			dst = dst[:start]
		}
	}
	return dst
}

func (t *template) appendPart(dst []byte, src rand.Source, p *part, b *Binding) []byte {
	switch p.kind {
	case partUsername:
		return append(dst, t.username...)
	case partPassword:
		return append(dst, t.password...)
	case partID:
		return append(append(dst, b.ID...), b.drawn...)
	case partMinutes:
		return append(dst, b.Minutes...)
	case partTTL:
		return t.ttl.append(dst, b.Lifetime)
	case partValue:
		own := b.Own
		if !p.client && !b.Alone {
			own = nil
		}
		return p.value.append(dst, src, own, b.Given)
	}
	return append(dst, p.text...)
}

// appendBoth appends the user name, a colon and the password; colon is where it stands.
func (t *template) appendBoth(dst []byte, src rand.Source, b *Binding) (both []byte, colon int) {
	dst = t.append(dst, src, t.user, b)
	colon = len(dst)
	return t.append(append(dst, ':'), src, t.pass, b), colon
}

// appendLine appends the field line (RFC 7617 section 2).
func (t *template) appendLine(dst []byte, src rand.Source, b *Binding) []byte {
	var scratch [512]byte
	both, _ := t.appendBoth(scratch[:0], src, b)
	return appendField(dst, both)
}

// credentials are those in the field line.
func (t *template) credentials(src rand.Source, b *Binding) (user, password string) {
	var scratch [512]byte
	both, colon := t.appendBoth(scratch[:0], src, b)
	text := string(both)
	return text[:colon], text[colon+1:]
}

// Example returns credentials as they could go to that server, for people to look at: the account's user name is masked,
// and so is the password, but for what a template puts beside it. It is false if there are none of ours.
func (a *Accounts) Example(server int) (user, password string, ok bool) {
	if !a.Sets(server) {
		return "", "", false
	}
	t := a.templates[server] // a copy
	t.username, t.password = mask(t.username), hidden
	b := Binding{Alone: true}
	var id [pattern.MaxLength]byte
	b = a.complete(b, runtimeSource{}, id[:0])
	user, password = t.credentials(runtimeSource{}, &b)
	whole := true // the template has the password itself
	eachPart(t.pass, func(p *part) { whole = whole && p.kind != partPassword })
	if whole {
		password = hidden
	}
	return user, password, true
}

const hidden = "***"

// mask hides all but the ends of a user name.
func mask(name string) string {
	if len(name) < 6 {
		return hidden
	}
	return name[:1] + hidden + name[len(name)-1:]
}
