package refusal

import (
	"errors"
	"fmt"
	"strings"

	"proxymap/relay/socks"
)

// A Side is who a refusal is about.
type Side uint8

const (
	Provider Side = iota // an upstream proxy of the settings, who has remedies
	Target               // the host that the request is for: a client's own affair
	Relay                // we, by something of which Subject.Name tells how much there is
)

// A Subject is whom or what a refusal is about.
type Subject struct {
	Side Side
	Name string // host:port, or 52 connections
}

// named is the subject with its name.
func (s Subject) named() string {
	switch s.Side {
	case Provider:
		return "upstream " + s.Name
	case Target:
		return "target " + s.Name
	}
	return s.Name
}

// side is the subject without its name.
func (s Subject) side() string {
	if s.Side == Target {
		return "target"
	}
	return "provider"
}

// A Refusal is one answer. Its zero value is none.
type Refusal struct {
	Code    Code
	Subject Subject // where the code has one
	Cause   error   // more of why: holds no credential; nil: the code says all
}

// Remedies say for a code what an operator can change, in the names of the settings. They follow a semicolon.
type Remedies map[Code]string

// Text says what is wrong and what can be done, on one line. What concerns a target has no remedies: they are for an
// upstream proxy's.
func (r Refusal) Text(remedies Remedies) string {
	row := &table[r.Code]
	text := row.text
	switch row.form {
	case byName:
		text = fmt.Sprintf(text, r.Subject.named())
	case bySide:
		text = fmt.Sprintf(text, r.Subject.side())
	}
	var b strings.Builder
	add := func(separator, s string) {
		if s != "" {
			if b.Len() > 0 {
				b.WriteString(separator)
			}
			b.WriteString(s)
		}
	}
	add("", text)
	if r.Cause != nil {
		add(": ", r.Cause.Error())
	}
	add("; ", row.hint)
	if r.Subject.Side != Target {
		add("; ", remedies[r.Code])
	}
	return b.String()
}

// Reply is what a SOCKS5 client is told: what an upstream SOCKS server has said, where that is the cause, else the code's.
// For a SOCKS4 client socks.AppendReply makes one of all.
func (r Refusal) Reply() uint8 {
	var said *socks.Refusal
	if errors.As(r.Cause, &said) {
		return said.Reply()
	}
	return table[r.Code].reply
}

// ReplyTo is what a SOCKS5 client is told of a status that a provider has answered its CONNECT with.
func ReplyTo(status int) uint8 {
	switch status {
	case 403:
		return socks.NotAllowed
	case 504:
		return socks.HostUnreachable
	}
	return socks.Failed
}

// OfHandshake is how a SOCKS server's refusal is told.
func OfHandshake(said *socks.Refusal) Code {
	switch said.Code {
	case socks.NotAllowed:
		return SOCKSDenied
	case socks.TTLExpired:
		return SOCKSTimeout
	}
	return SOCKSFailed
}
