package session

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"

	"proxymap/session/credential"
)

// A Client is what a client connection brought: its credentials, and the parameters in its user name. It never changes,
// and may be used from any goroutine. nil is a client without credentials.
type Client struct {
	plan           *Plan // that has judged it
	user, password string
	params         []Pair // "account" and those in the user name; nil unless the plan splits it
	verdict        Verdict
	alone          bool // its connections are sessions of their own, unless the port has one
}

// parameters are those in the client's user name.
func (c *Client) parameters() []Pair {
	if c == nil {
		return nil
	}
	return c.params
}

// aloneWith reports whether a client's connections are sessions of their own, where the port has none.
func (p *Plan) aloneWith(c *Client) bool {
	switch {
	case c == nil:
		return p.alone
	case c.plan != p:
		return p.Judged(c).alone
	}
	return c.alone
}

// A Verdict says whether a client may use the port.
type Verdict uint8

const (
	Admitted Verdict = iota
	Missing          // credentials are required, and there are none
	Wrong            // the credentials are malformed or not the port's
)

// Admit says whether a client may use the ports of the plan.
func (p *Plan) Admit(c *Client) Verdict {
	switch {
	case c != nil:
		return c.verdict
	case p.require:
		return Missing
	}
	return Admitted
}

// Requires reports whether clients need credentials.
func (p *Plan) Requires() bool { return p.require }

// Judges reports whether the plan demands anything of clients' credentials, or passes them on: where it does neither it
// does not matter what they are.
func (p *Plan) Judges() bool {
	if p.require || p.verify {
		return true
	}
	return !p.remove && !p.accounts.SetsAll()
}

// Ignores reports whether clients' credentials mean nothing at all: the plan does not judge them, and reads no parameters
// in their user names.
func (p *Plan) Ignores() bool { return !p.Judges() && !p.parse }

// IsOf reports whether the plan has judged the client.
func (c *Client) IsOf(p *Plan) bool { return c.plan == p }

// Judged is the client as p judges it, and p reads the parameters in its user name: mostly the very same, because p has made it;
// nil stays nil.
func (p *Plan) Judged(c *Client) *Client {
	if c == nil || c.plan == p {
		return c
	}
	return p.NewClient(c.user, c.password)
}

// NewClient makes a client of the user name and the password that it brought. What no credentials of ours could be
// (too long, a user name with a colon or a control character) makes one that is not admitted.
func (p *Plan) NewClient(user, password string) *Client {
	if len(user)+len(password) > credential.MaxCredentials || !credential.IsHarmless(user) {
		return &Client{plan: p, user: user, password: password, verdict: Wrong}
	}
	c := &Client{plan: p, user: user, password: password}
	account := user
	if p.parse {
		account, c.params = p.split(user)
	}
	c.alone = p.accounts.Alone(c.params)
	if p.verify && !p.secret.equals(secretOf(account, password)) {
		c.verdict = Wrong
	}
	return c
}

// split takes account-p1-v1-p2-v2 apart; an odd tail is dropped. The account is found as "account" among the parameters.
func (p *Plan) split(user string) (account string, params []Pair) {
	account, rest, _ := strings.Cut(user, "-")
	// The configured user name may hold dashes itself. How much of it the client got right must not show in the time.
	if n := len(p.account); len(user) >= n && (len(user) == n || user[n] == '-') &&
		subtle.ConstantTimeCompare([]byte(user[:n]), []byte(p.account)) == 1 {
		account, rest = user[:n], strings.TrimPrefix(user[n:], "-")
	}
	params = appendGiven(nil, "account", account)
	for range credential.MaxParameters {
		name, tail, found := strings.Cut(rest, "-")
		if !found {
			break
		}
		var value string
		value, rest, _ = strings.Cut(tail, "-")
		params = appendGiven(params, name, value)
	}
	return account, params
}

// appendGiven appends a parameter of a client's, unless it is one that counts as not given. A user name is harmless as a
// whole, so its parts are.
func appendGiven(params []Pair, name, value string) []Pair {
	if name == "" || value == "" || len(value) > credential.MaxValue {
		return params
	}
	return append(params, Pair{Name: name, Value: value})
}

// A secret is a user name and a password, hashed so that comparing does not even tell their lengths.
type secret struct{ user, password [sha256.Size]byte }

func secretOf(user, password string) secret {
	return secret{sha256.Sum256([]byte(user)), sha256.Sum256([]byte(password))}
}

// equals compares in constant time.
func (s *secret) equals(other secret) bool {
	return subtle.ConstantTimeCompare(s.user[:], other.user[:])&subtle.ConstantTimeCompare(s.password[:], other.password[:]) == 1
}
