package settings

import (
	"fmt"
	"slices"
	"strings"

	"proxymap/relay"
	"proxymap/relay/hostrule"
	"proxymap/session"
	"proxymap/session/credential"
)

// add makes the relay's mapping of m.
func (s *Settings) add(r *reader, m *mappingSettings) {
	cfg := session.PlanConfig{
		Lifetime: m.rotation.lifetime, LifetimeJitter: m.rotation.jitter, Account: &m.auth.account.Account, Set: m.auth.set, Remove: m.auth.remove,
		Require: m.auth.required, Verify: m.auth.verify, ParseParameters: m.auth.parse,
		Remedy: "set StickyProxyLifetime in the settings",
	}
	out := relay.Mapping{
		Address: m.listen.address, First: uint16(m.listen.first), Last: uint16(m.listen.last), BusyPort: m.listen.busy,
		AllowFrom: m.listen.allowFrom, ProxyProtocol: m.listen.header, PerPort: m.perPort,
		RejectPlain: m.listen.reject, Action: m.listen.action, IgnoreRules: m.listen.ignoreRules, AllowLocalTargets: m.listen.local, API: s.api,
		OnRotate: m.rotation.onRotate, DrainTime: m.rotation.drain, IdleLifetime: m.rotation.idle, MaxRequests: m.rotation.maxRequests,
		RotateOn: m.rotation.on, RotateMinInterval: m.rotation.interval,
	}
	cfg.Servers = slices.Grow(cfg.Servers, len(m.servers)+len(s.rules.servers))
	out.Servers = slices.Grow(out.Servers, len(m.servers))
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
		say("may not do what is meant: %s%s", warning.Text, doubtRemedies[warning.Doubt])
	}
	for _, p := range m.auth.account.Parameters {
		if p.SessionID && p.Value != "" && !strings.ContainsAny(p.Value[:1], "^$") {
			say("share one session, and new does not change it: the SessionId parameter %q is a literal; ^[A-Za-z0-9]{8} draws ids", p.Name)
		}
	}
	if m.meansToSend() && !m.auth.set {
		var without []string
		for i := range m.servers {
			if !out.Plan.Sets(i) {
				without = append(without, "upstream "+m.servers[i].Server.HostPort())
			}
		}
		eachNamed(without, func(server string) {
			say("have credentials in Authentication that do not go to %s: SetAuthentication is false", server)
		})
	}
	for _, warning := range []string{spreadWarning(out), identitiesWarning(m)} {
		if warning != "" {
			say("%s", warning)
		}
	}
	if why := nobodyIn(out.Address, "Listen.AllowFrom", out.AllowFrom); why != "" {
		say("let %s", why)
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

// meansToSend reports whether Authentication has what is there to go upstream. With Verify it is what clients have to bring,
// unless it has a form.
func (m *mappingSettings) meansToSend() bool {
	a := &m.auth
	return a.account.Template != nil || !a.verify && a.account.Username+a.account.Password != ""
}

// eachNamed calls f for the names that warnings name, and once for the number of the others.
func eachNamed(names []string, f func(name string)) {
	for _, name := range names[:min(len(names), shownUpstreams)] {
		f(name)
	}
	if left := len(names) - shownUpstreams; left > 0 {
		f(count(left, "upstream") + " more")
	}
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
