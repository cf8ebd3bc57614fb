package relay

import (
	"bytes"
	"net/netip"

	"proxymap/httpparse"
	"proxymap/relay/hostrule"
	"proxymap/relay/refusal"
	"proxymap/session"
	"proxymap/session/credential"
)

// How a request gets to its target. Mostly its session's upstream proxy is an HTTP proxy, which takes the request as it
// came. A SOCKS server makes a tunnel to the target, and a target that a rule says to bypass the upstream for is dialled:
// the two have in common that the upstream connection leads to that target alone, and that the request goes there as to
// an origin server.

// A ServerType is the protocol that an upstream proxy speaks.
type ServerType uint8

// The protocols of upstream proxies.
const (
	HTTP ServerType = iota
	SOCKS4
	SOCKS5
)

// route decides who answers the request: the Session API, the provider, or we with a refusal.
func (x *exchange) route() {
	c := x.c
	if !x.anew {
		c.tally.requests.Add(1)
	}
	if !x.authenticate() {
		return
	}
	switch x.apiRoute() {
	case apiAnswers:
		x.beginAPI()
		return
	case apiTunnel:
		x.openAPITunnel()
		return
	case apiRefused:
		c.refuse(refusal.NotAPI)
		return
	}
	switch {
	case c.place == reserved:
		x.refuseAboveBudget()
	case x.form == httpparse.OriginForm:
		x.count(noHost)
		c.refuse(refusal.NoTarget)
	case x.form == httpparse.AsteriskForm:
		x.count(noHost)
		c.refuse(refusal.NoHost)
	case c.m.RejectPlain && x.method != httpparse.MethodConnect:
		x.count(httpRejected)
		c.refuse(refusal.PlainRejected)
	case !x.decide() || x.endsAtOnce():
	case x.overfull:
		c.refuse(refusal.TooManyCredentials)
	default:
		c.transfer.beginExchange()
	}
}

// authenticate finds out who the client is, and reports whether it may use the port.
func (x *exchange) authenticate() bool {
	c := x.c
	if c.insideAPI {
		return true // its CONNECT has been let in
	}
	plan := c.m.Plan
	if x.socks == 0 {
		x.identify(plan)
	} else {
		c.who = plan.Judged(c.who) // its messages may have come under another
	}
	switch plan.Admit(c.who) {
	case session.Missing:
		x.count(authRequired)
		c.refuse(refusal.CredentialsMissing)
		return false
	case session.Wrong:
		x.count(authInvalid)
		c.refuse(refusal.CredentialsWrong)
		return false
	}
	if plan.Requires() {
		x.count(authenticated)
	} else {
		x.count(authNotRequired)
	}
	return true
}

// identify reads the client's Proxy-Authorization. What is not Basic is nothing to us. Mostly it is the same as in the
// request before.
func (x *exchange) identify(plan *session.Plan) {
	c := x.c
	value := x.field(x.login)
	if c.who != nil && c.who.IsOf(plan) && len(value) > 0 && string(value) == c.whoField {
		return
	}
	c.who, c.whoField = nil, ""
	if scheme, _, _ := bytes.Cut(value, []byte(" ")); !bytes.EqualFold(scheme, []byte("Basic")) {
		return
	}
	user, password, ok := credential.ParseBasic(value)
	if !ok {
		if !plan.Judges() {
			return
		}
		user = "\x00" // no name: it is wrong
	}
	c.who, c.whoField = plan.NewClient(user, password), string(value)
}

// An apiRoute is what a request has to do with the Session API.
type apiRoute uint8

const (
	apiNone    apiRoute = iota // it is not for the API
	apiAnswers                 // the API answers it
	apiTunnel                  // a CONNECT to the API: requests will come inside
	apiRefused                 // it is for the API's domain, or comes from within a tunnel to it, but not for the API
)

// apiRoute judges the request. An absolute-form target alone decides; in origin-form, and behind a CONNECT,
// the Host field does.
func (x *exchange) apiRoute() apiRoute {
	c := x.c
	api := &c.m.API
	if !api.Enabled {
		return apiNone
	}
	head := x.head.bytes()
	port := x.port
	switch x.form {
	case httpparse.AsteriskForm:
		return apiNone
	case httpparse.OriginForm:
		if api.Domain == "" {
			return apiAnswers
		}
		var host []byte
		host, port, _ = httpparse.SplitHost(x.hostField.In(head))
		if !api.Owns(host) {
			return apiNone
		}
		if port == 0 || port == c.port.addr.Port() { // asked for without a proxy, by a name that leads here
			port = 80
		}
	case httpparse.AbsoluteForm:
		if !api.Owns(x.host.In(head)) {
			return x.outsideAPI()
		}
	case httpparse.AuthorityForm:
		if c.insideAPI || !api.Owns(x.host.In(head)) {
			return x.outsideAPI()
		}
		if port == 80 {
			return apiTunnel
		}
	}
	if port == 80 {
		return apiAnswers
	}
	return apiRefused
}

func (x *exchange) outsideAPI() apiRoute {
	c := x.c
	if c.insideAPI {
		return apiRefused
	}
	return apiNone
}

// decide finds what is to be done with the request: the first rule that matches its host says it, else the
// mapping. It reports whether the request goes on.
func (x *exchange) decide() bool {
	c := x.c
	m := c.m
	action := m.Action
	if m.rules != nil && !m.IgnoreRules {
		host := withoutMapping(c.l.plain[:0], x.host.In(x.head.bytes()))
		if rule := m.rules.Match(host, x.port); rule != nil {
			x.rule, action = rule, rule.Action
		}
	}
	switch {
	case action == hostrule.Deny:
		x.count(hostRejected)
		code := refusal.HostDenied
		if x.rule == nil {
			code = refusal.AllDenied
		}
		c.refuse(code)
		return false
	case action == hostrule.Bypass:
		x.direct = true
	case m.listed == 0 && (x.rule == nil || x.rule.Server < 0):
		c.refuse(refusal.NoUpstream)
		return false
	}
	if x.direct {
		x.count(hostBypassed)
	} else {
		x.count(hostProxified)
	}
	if !x.anew {
		x.countHost()
	}
	return true
}

// withoutMapping returns host, or the IPv4 address that it is in IPv6 form, appended to b: rules for one hold for the other.
func withoutMapping(b, host []byte) []byte {
	if bytes.IndexByte(host, ':') < 0 {
		return host
	}
	if addr, err := netip.ParseAddr(string(host)); err == nil && addr.Is4In6() {
		return addr.Unmap().AppendTo(b)
	}
	return host
}

// countHost counts the request for its host, to which the bytes that upstream carries belong from here on.
func (x *exchange) countHost() {
	c := x.c
	if c.l.hosts.byName == nil {
		return
	}
	way := byProxy
	if x.direct {
		way = byBypass
	}
	c.host = c.l.hosts.of(x.host.In(x.head.bytes()))
	c.host.ways[way].Add(1)
	c.upstream.host = c.host
}

// leadsThere reports whether the upstream connection that there is may carry the request.
func (x *exchange) leadsThere(current *session.Session) bool {
	c := x.c
	m := c.m
	switch {
	case c.via != m.proxies:
		return false // what it was connected for holds no more
	case x.direct:
		return c.server < 0 && x.isTarget()
	case c.server < 0 || c.sess != current:
		return false
	case x.rule != nil && x.rule.Server >= 0:
		if c.server != m.listed+x.rule.Server {
			return false
		}
	case c.server >= m.listed:
		return false
	}
	return m.servers[c.server].Type == HTTP || c.sessWho == c.who && x.isTarget()
}

// isTarget reports whether the upstream connection leads to the request's target.
func (x *exchange) isTarget() bool {
	c := x.c
	return c.target.port == x.targetPort() && bytes.EqualFold([]byte(c.target.host), x.targetHost())
}

// An endpoint is a target that an upstream connection leads to.
type endpoint struct {
	host string
	port uint16
}

// dial has outbound find a way for the request, under the session of this moment, or under last if the port has none any more
// that fits.
func (x *exchange) dial(last *session.Session) {
	s := x.current()
	if !x.fits(s) {
		s = last
	}
	x.c.joinSession(s)
	x.out.begin(x.routeUnder(s))
}

// routeUnder is the route of the request under a session: to the session's server or the next one that takes us, to the
// server of a rule, or to the target itself.
func (x *exchange) routeUnder(s *session.Session) route {
	m := x.c.m
	to := route{host: x.targetHost(), port: x.targetPort(), pinned: s != nil, resolves: m.resolves}
	switch {
	case x.direct:
		to.server, to.resolves = -1, false
	case x.rule != nil && x.rule.Server >= 0:
		to.server = m.listed + x.rule.Server
		to.resolves = m.servers[to.server].ResolveIP
	default:
		to.server, to.only = x.firstServer(s)
	}
	return to
}

// firstServer is the server that is tried first, of those listed. Without a session, each client connection is one, and stays
// with the server that it has; so does a request whose mapping the port has no more.
func (x *exchange) firstServer(s *session.Session) (server int, fixed bool) {
	c, m := x.c, x.c.m
	if server, fixed = m.ownServer(c.port.addr.Port()); fixed {
		return server, true
	}
	if server, ok := c.port.slot.ServerUnder(m.Plan); s != nil && ok {
		return server, false
	}
	if c.via == m.proxies && c.server >= 0 && c.server < m.listed {
		return c.server, false
	}
	return m.nextServer(), false
}

// toTarget reports whether the upstream connection leads to the request's target alone.
func (x *exchange) toTarget() bool {
	c := x.c
	return c.m.leadsToTarget(c.server)
}

// targetHost is the host that the request is for, rules applied; an IPv6 address has no brackets.
func (x *exchange) targetHost() []byte {
	if x.rule != nil && x.rule.OverrideHost != "" {
		return []byte(x.rule.OverrideHost)
	}
	return x.host.In(x.head.bytes())
}

// targetPort is the port that the request is for, rules applied.
func (x *exchange) targetPort() uint16 {
	if x.rule != nil && x.rule.OverridePort != 0 {
		return x.rule.OverridePort
	}
	return x.port
}

// overridden reports whether the request goes to another authority than its client has written.
func (x *exchange) overridden() bool {
	return x.rule != nil && (x.rule.OverrideHost != "" || x.rule.OverridePort != 0) || x.sendsAddress()
}

// sendsAddress reports whether the upstream proxy is told the target's address in place of its name. A plain request to
// an HTTP proxy keeps the name, for its Host must be the same (RFC 9112 section 3.2.2).
func (x *exchange) sendsAddress() bool {
	return x.out.tellsAddress() && (x.toTarget() || x.method == httpparse.MethodConnect)
}
