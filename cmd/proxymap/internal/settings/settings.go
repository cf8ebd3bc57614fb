package settings

import (
	"fmt"
	"os"
	"strings"

	"proxymap/relay"
)

// Settings are a settings file as it was understood.
type Settings struct {
	Config    relay.Config // without what the program itself brings: Log, and who listens to changes
	Admin     Admin
	StateFile string   // that keeps sessions; empty: none does
	Warnings  []string // about what is no fault, but hardly meant; the caller may add its own for Describe to print

	mappings  []mappingSettings // beside Config.Mappings: what Describe shows
	rules     ruleSettings
	hostStats hostStatsSettings
}

// hostStatsSettings say what is counted for each host.
type hostStatsSettings struct{ enabled, traffic bool }

// Load reads a settings file and the files that it names. The error names every fault of them, on a line each.
func Load(file string) (*Settings, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	return Parse(file, text)
}

// Parse is Load with the text of a settings file; name is for messages, and its folder is where the files are that the
// text names.
func Parse(name string, text []byte) (*Settings, error) {
	return newReader(name, text, readIncluded).settings()
}

func (r *reader) settings() (*Settings, error) {
	s := &Settings{}
	if root, ok := r.parse(r.main); ok {
		r.root(s, root)
	}
	if len(r.faults.list) > 0 {
		return nil, &r.faults
	}
	if len(r.ignored) > 0 {
		s.Warnings = append(s.Warnings, "without effect here, as a relay does not look into TLS, cache, serve files or have a dashboard: "+
			strings.Join(r.ignored, ", "))
	}
	return s, nil
}

func (r *reader) root(s *Settings, n node) {
	o := r.object(n, rootKeys)
	auth := r.object(o.get("Authentication"), authKeys)
	api := r.sessionAPI(r.object(o.get("SessionAPI"), apiKeys))
	s.Config.Remedies = remedies
	s.Config.UserAgent = r.userAgent(r.object(o.get("HTTP"), httpKeys))
	s.Config.Limits = r.limits(r.object(o.get("Limits"), limitKeys))
	stats := r.object(o.get("HostStats"), statsKeys)
	s.hostStats = hostStatsSettings{enabled: stats.flag("Enabled"), traffic: stats.flag("TrafficStats")}
	s.Config.HostStats = s.hostStats.enabled

	mappings := o.list("ProxyMappings")
	// An Authentication of nothing but the dashboard's is none of a mapping.
	short := o.get("Listen").there() || o.get("ProxyServers").there() || o.get("ProxyServersFiles").there() || len(auth.members) > 0
	switch {
	case short && o.get("ProxyMappings").there():
		r.fault(o.get("ProxyMappings"), "stands beside a top-level Listen, Authentication or ProxyServers: use one of the two forms")
	case short:
		s.mappings = append(s.mappings, r.mapping(o, auth))
	case len(mappings) == 0:
		r.fault(n, "no port to listen on: ProxyMappings must be a list of at least one mapping, or Listen be there")
	}
	for _, at := range mappings {
		m := r.object(at, mappingKeys)
		s.mappings = append(s.mappings, r.mapping(m, r.object(m.get("Authentication"), authKeys)))
	}
	s.rules = r.hostRules(o)
	s.Admin = r.admin(r.object(o.get("Admin"), adminKeys), s.mappings)
	if s.Admin.Address.IsValid() {
		s.Config.OtherPorts = append(s.Config.OtherPorts, s.Admin.Address)
	}
	s.StateFile = r.stateFile(r.object(o.get("State"), stateKeys))
	r.overlaps(s.mappings)
	r.circles(s)
	r.addRules(s)
	for i := range s.mappings {
		s.add(r, &s.mappings[i], api)
	}
}
