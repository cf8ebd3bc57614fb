package settings

import (
	"proxymap/cmd/proxymap/internal/settings/schema"
	"proxymap/relay"
	"proxymap/session"
)

// Settings are a settings file as it was understood.
type Settings struct {
	File      string       // that was read, by the name that it was given by; empty: there is none
	Config    relay.Config // without what the program itself brings: Log, and who listens to changes
	Admin     Admin
	StateFile string   // that keeps sessions; empty: none does
	Warnings  []string // about what is no fault, but hardly meant; the caller may add its own for Describe to print

	layers    []Layer
	values    node              // of all layers
	mappings  []mappingSettings // beside Config.Mappings: what Describe shows
	rules     ruleSettings
	hostStats hostStatsSettings
	api       session.API

	passwordless names // SOCKS4 servers whose account has a password
}

// hostStatsSettings say what is counted for each host.
type hostStatsSettings struct{ enabled, traffic bool }

func (r *reader) root(s *Settings, n node) {
	o := r.object(n, schema.Root)
	auth := r.object(o.get("Authentication"), schema.Authentication)
	s.api = r.sessionAPI(r.object(o.get("SessionAPI"), schema.SessionAPI))
	s.Config.Remedies = remedies
	s.Config.UserAgent = r.userAgent(r.object(o.get("HTTP"), schema.HTTP))
	s.Config.Limits = r.limits(r.object(o.get("Limits"), schema.Limits))
	stats := r.object(o.get("HostStats"), schema.HostStats)
	s.hostStats = hostStatsSettings{enabled: stats.flag("Enabled"), traffic: stats.flag("TrafficStats")}
	s.Config.HostStats = s.hostStats.enabled

	mappings := o.list("ProxyMappings")
	short := shortForm(o, auth)
	switch {
	case len(short) > 0 && o.get("ProxyMappings").there():
		r.fault(o.get("ProxyMappings"), "stands beside a top-level %s (%s): use one of the two forms", short[0].key, short[0].from)
	case len(short) > 0:
		s.mappings = append(s.mappings, r.mapping(o, auth))
	case len(mappings) == 0 && (!o.get("ProxyMappings").there() || o.get("ProxyMappings").isList()):
		r.fault(n, "no port to listen on: ProxyMappings must be a list of at least one mapping, or Listen be there%s", r.lookedIn())
	}
	for _, at := range mappings {
		m := r.object(at, schema.Mapping)
		s.mappings = append(s.mappings, r.mapping(m, r.object(m.get("Authentication"), schema.Authentication)))
	}
	s.rules = r.hostRules(o)
	s.Admin = r.admin(r.object(o.get("Admin"), schema.Admin), s.mappings)
	if s.Admin.Address.IsValid() {
		s.Config.OtherPorts = append(s.Config.OtherPorts, s.Admin.Address)
		if why := nobodyIn(s.Admin.Address.Addr(), "Admin.AllowFrom", s.Admin.AllowFrom); why != "" {
			s.Warnings = append(s.Warnings, "the admin listener lets "+why)
		}
	}
	s.StateFile = r.stateFile(r.object(o.get("State"), schema.State))
	r.overlaps(s.mappings)
	r.circles(s)
	r.addRules(s)
	for i := range s.mappings {
		s.add(r, &s.mappings[i])
	}
	eachNamed(s.passwordless.list, func(server string) {
		s.Warnings = append(s.Warnings, "no password goes to "+server+", for SOCKS4 has none; Socks5 has")
	})
}

// shortForm returns what stands at the top of the settings of one mapping's parts. An Authentication of nothing but the
// dashboard's is none of a mapping.
func shortForm(o, auth *object) (parts []node) {
	for _, key := range []string{"Listen", "Authentication", "ProxyServers", "ProxyServersFiles", "ProxyServersSpread"} {
		if n := o.get(key); n.there() && (key != "Authentication" || auth.holds()) {
			parts = append(parts, n)
		}
	}
	return parts
}
