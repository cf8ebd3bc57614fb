package settings

import (
	"fmt"
	"net/netip"
	"strings"

	"proxymap/relay"
	"proxymap/relay/hostrule"
	"proxymap/session"
	"proxymap/session/credential"
)

// circles finds upstream servers that are ports of the relay itself: one request would dial until nothing is left to
// dial with.
func (r *reader) circles(s *Settings) {
	for i := range s.mappings {
		for j := range s.mappings[i].servers {
			r.circle(s.mappings, &s.mappings[i].servers[j])
		}
	}
	for i := range s.rules.servers {
		r.circle(s.mappings, &s.rules.servers[i])
	}
}

func (r *reader) circle(mappings []mappingSettings, s *serverSettings) {
	addr, err := netip.ParseAddr(s.Host)
	addr = addr.Unmap().WithZone("")
	local := err != nil && strings.EqualFold(s.Host, "localhost") || err == nil && addr.IsUnspecified()
	for i := range mappings {
		l := &mappings[i].listen
		if !l.holds(int(s.Port)) {
			continue
		}
		if local || err == nil && (addr == l.address || addr.IsLoopback() && l.address.IsUnspecified()) {
			r.fault(s.account.at.get("Port"), "value \"%d\": is a port of this relay itself: requests would go round in circles", s.Port)
			return
		}
	}
}

// add makes the relay's mapping of m.
func (s *Settings) add(r *reader, m *mappingSettings, api session.API) {
	cfg := session.PlanConfig{
		Lifetime: m.rotation.lifetime, LifetimeJitter: m.rotation.jitter, Account: &m.auth.account.Account, Set: m.auth.set, Remove: m.auth.remove,
		Require: m.auth.required, Verify: m.auth.verify, ParseParameters: m.auth.parse, Compile: compilePattern,
	}
	out := relay.Mapping{
		Address: m.listen.address, First: uint16(m.listen.first), Last: uint16(m.listen.last),
		RejectPlain: m.listen.reject, Action: m.listen.action, IgnoreRules: m.listen.ignoreRules, AllowLocalTargets: m.listen.local, API: api,
		OnRotate: m.rotation.onRotate, DrainTime: m.rotation.drain, IdleLifetime: m.rotation.idle, MaxRequests: m.rotation.maxRequests,
		RotateOn: m.rotation.on, RotateMinInterval: m.rotation.interval,
	}
	for i := range m.servers {
		cfg.Servers = append(cfg.Servers, &m.servers[i].account.Account)
		out.Servers = append(out.Servers, m.servers[i].Server)
		r.socksFaults(s, m, &m.servers[i])
	}
	for i := range s.rules.servers {
		cfg.Servers = append(cfg.Servers, &s.rules.servers[i].account.Account)
		r.socksFaults(s, m, &s.rules.servers[i])
	}
	plan, err := session.NewPlan(cfg)
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			r.planFault(s, m, e.(*credential.Fault))
		}
	}
	out.Plan = plan
	r.lifetimeless(s, m, &out)
	s.warn(m, &out)
	s.Config.Mappings = append(s.Config.Mappings, out)
}

// warn tells what a mapping may do unawares.
func (s *Settings) warn(m *mappingSettings, out *relay.Mapping) {
	say := func(format string, args ...any) {
		s.Warnings = append(s.Warnings, "ports "+out.Ports()+" "+fmt.Sprintf(format, args...))
	}
	for _, warning := range out.Plan.Warnings() {
		say("may not do what is meant: %s", warning)
	}
	for _, p := range m.auth.account.Parameters {
		if p.SessionID && p.Value != "" && !strings.ContainsAny(p.Value[:1], "^$") {
			say("share one session, and new does not change it: the SessionId parameter %q is a literal; ^[A-Za-z0-9]{8} draws ids", p.Name)
		}
	}
	for i := range m.servers {
		if m.auth.account.Template != nil && !m.auth.set && !out.Plan.Sets(i) {
			say("have credentials in Authentication that do not go to upstream %s: SetAuthentication is false", m.servers[i].Server.HostPort())
		}
	}
	if len(m.servers) == 0 && m.listen.action == hostrule.Allow {
		rules := ""
		if len(s.rules.list) > 0 && !m.listen.ignoreRules {
			rules = ", unless a host rule says otherwise"
		}
		say("have no ProxyServers: their requests are answered 502 no-upstream%s", rules)
	}
	if m.auth.set && m.auth.remove {
		say("have RemoveAuthentication beside SetAuthentication, which replaces the clients' credentials anyway: it is ignored")
	}
}

// maxSocksField is what SOCKS has room for: bytes of a user name, and of a password.
const maxSocksField = 255

// socksFaults tells what of the account for a server no SOCKS message has room for. What sessions and clients put into a
// user name is not known yet.
func (r *reader) socksFaults(s *Settings, m *mappingSettings, server *serverSettings) {
	if server.Type == relay.HTTP {
		return
	}
	a, parameters := &server.account, server.account.Parameters
	switch {
	case a.Username == "" && !m.auth.set:
		return
	case a.Username == "":
		a = &m.auth.account
	}
	if len(parameters) == 0 && a.Template == nil {
		parameters = m.auth.account.Parameters
	}
	n := len(a.Username)
	for _, p := range parameters {
		if p.Name != "account" && p.Value != "" && !strings.ContainsAny(p.Value[:1], "^$") {
			n += len("-" + p.Name + "-" + p.Value)
		}
	}
	if n > maxSocksField {
		r.fault(a.at.get("Username"), "has %d bytes with its parameters; a SOCKS server (%s) takes at most %d: shorten it, or use ProxyType Http",
			n, server.Server.HostPort(), maxSocksField)
	}
	if len(a.Password) == 0 {
		return
	}
	if server.Type == relay.SOCKS4 {
		s.warnOnce(fmt.Sprintf("upstream %s gets no password, for SOCKS4 has none; Socks5 has", server.Server.HostPort()))
	} else if len(a.Password) > maxSocksField {
		r.fault(a.at.get("Password"), "has %d bytes; a SOCKS5 server (%s) takes at most %d: shorten it, or use ProxyType Http",
			len(a.Password), server.Server.HostPort(), maxSocksField)
	}
}

func (s *Settings) warnOnce(text string) {
	for _, w := range s.Warnings {
		if w == text {
			return
		}
	}
	s.Warnings = append(s.Warnings, text)
}

// planFault notes a fault of a mapping's plan where its key stands.
func (r *reader) planFault(s *Settings, m *mappingSettings, f *credential.Fault) {
	account := &m.auth.account
	switch own := len(m.servers); {
	case f.Server >= own:
		account = &s.rules.servers[f.Server-own].account
	case f.Server >= 0:
		account = &m.servers[f.Server].account
	}
	r.fault(account.faultNode(f), "%s", f.Reason)
}
