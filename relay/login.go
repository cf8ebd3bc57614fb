package relay

import (
	"bytes"
	"errors"
	"time"

	"proxymap/relay/refusal"
	"proxymap/relay/verdict"
	"proxymap/session"
	"proxymap/session/credential"
)

// A provider that answers 407 to the port's own credentials is not passed on: the client has no password to try again
// with. Nor does it mean that the password is wrong: providers say the same where an address is not allowed, a zone is
// switched off, or no traffic is left. So what it says beside the status is waited for, and goes into the answer and the
// log, without the credentials.

const (
	// verdictTime is how long the content of a 407 is waited for.
	verdictTime = time.Second

	// verdictsTold is how many times a second a loop looks through a provider's words for what must not be told of them. That
	// costs about what a request costs, and a provider that refuses one port mostly refuses all of them at once.
	verdictsTold = 50

	// authWarnPause is how long a port's warning about refused credentials is not repeated.
	authWarnPause = time.Minute
)

// hearVerdict takes a 407 to the port's credentials, whose head, described by l.res, is at the beginning of b.
func (t *transfer) hearVerdict(b []byte) {
	c := t.c
	res := &c.l.res
	c.x.verdict = verdict.New(res, b, c.x.method)
	c.enter(stageVerdict)
	if c.x.verdict.Take(b[res.End:]) {
		t.refuseByVerdict()
		return
	}
	t.pumpVerdict()
}

// pumpVerdict reads on, until there is enough to be shown.
func (t *transfer) pumpVerdict() {
	c := t.c
	v := c.x.verdict
	for !v.Enough() {
		switch b, got := c.upstream.receive(c.l.buf[:]); got {
		case nothingNow:
			return
		case bytesCame:
			v.Take(b)
		default:
			v.End()
		}
	}
	t.refuseByVerdict()
}

// refuseByVerdict answers with what the provider has said so far.
func (t *transfer) refuseByVerdict() {
	c := t.c
	said := ""
	if c.l.verdicts.take(c.l.now, verdictsTold) {
		said = c.x.verdict.Text(secretsOf(c.m.Plan, c.server, c.x.credentials())...)
	}
	c.warnLogin(refusal.ProviderWantsLogin, said)
	r := refusal.Refusal{Code: refusal.ProviderWantsLogin}
	if said != "" {
		r.Cause = errors.New(said)
	}
	c.refuseWith(r)
}

// An allowance lets something be done so many times a second. The zero value lets it.
type allowance struct {
	until int64 // the end of this second, in the loop's time
	left  int   // times in it
}

// take reports whether it may be done once more, of so many times a second.
func (a *allowance) take(now int64, most int) bool {
	if now >= a.until {
		a.until, a.left = now+int64(time.Second), most
	}
	if a.left == 0 {
		return false
	}
	a.left--
	return true
}

// secretsOf are what must not be told of the credentials that a request has brought to a server in that field line: as they
// were sent, and as the settings have them. User name and password are also one secret, which is what the line codes: each
// alone may be too short to be found in it.
func secretsOf(plan *session.Plan, server int, line []byte) []string {
	user, password := plan.Account(server)
	secrets := []string{user, password}
	_, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
	if user, password, ok := credential.ParseBasic(value); ok {
		secrets = append(secrets, user, password)
		if user+password != "" {
			secrets = append(secrets, user+":"+password)
		}
	}
	return secrets
}

// warnLogin warns that the provider does not take the port's credentials, by a 407 or in a handshake, as code says. said is
// what it says about it, with none of them in it.
func (c *conn) warnLogin(code refusal.Code, said string) {
	p := c.port
	last := p.authWarned.Load()
	if (last == 0 || c.l.wall-last >= int64(authWarnPause)) && p.authWarned.CompareAndSwap(last, c.l.wall) {
		args := []any{"port", p.addr.Port(), "client", c.from, "upstream", c.m.servers[c.server].name()}
		if said != "" {
			args = append(args, "said", said)
		}
		c.l.relay.warn(code, "the provider refuses the port's credentials", args...)
	}
}
