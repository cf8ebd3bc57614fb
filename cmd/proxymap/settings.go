package main

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tailscale/hujson"

	"proxymap/httpparse"
	"proxymap/relay"
	"proxymap/session"
)

// Keys of the settings file. What a later version will know is told apart from what nobody knows.
var (
	rootKeys  = []string{"ProxyMappings", "Listen", "Authentication", "ProxyServers", "SessionAPI", "HTTP", "Limits"}
	rootLater = []string{
		"HostRules", "HostStats", "Admin", "State", "Logging", "AllowedHosts", "CorsSettings", "Security", "Dashboard", "Routing",
		"DetailedLogging", "WebSocketMonitoring", "SslClientOptions", "SslServerOptions", "Cache", "CacheRules",
	}
	mappingKeys  = []string{"Listen", "Authentication", "ProxyServers"}
	mappingLater = []string{"HostRules"}
	listenKeys   = []string{"Port", "PortRange", "Address", "StickyProxyLifetime", "RejectHttpProxy"}
	listenLater  = []string{
		"Action", "IgnoreHostRules", "AllowLocalTargets", "OnRotate", "DrainTime", "LifetimeJitter", "IdleLifetime", "MaxRequests",
		"RotateOn", "RotateMinInterval", "DecryptSSL", "SslMode", "UpstreamSslMode", "CertificatePath", "CertificatePassword", "RootDir",
	}
	authKeys  = []string{"SetAuthentication", "Username", "Password", "UsernameParameters"}
	authLater = []string{
		"Required", "Verify", "RemoveAuthentication", "ParseUsernameParameters", "Provider", "Template", "SessionAlphabet",
		"SessionLength", "TTLUnit", "TTLMin", "TTLMax", "Jwt", "DevToken",
	}
	parameterKeys = []string{"Name", "Value", "Default", "SessionId", "SessionTime"}
	serverKeys    = []string{"Host", "Port", "ProxyType", "Username", "Password", "UsernameParameters", "SourceAddresses"}
	serverLater   = []string{"ResolveIP"}
	apiKeys       = []string{"Enabled", "Domain", "RequireHeader"}
	limitKeys     = []string{
		"Connections", "HeadBytes", "TargetBytes", "HeadFields", "HeadTime", "IdleTime", "DialTime", "ReplyTime", "TunnelIdleTime", "HalfClosedTime",
	}
)

// maxLifetime is the longest StickyProxyLifetime in minutes: a year.
const maxLifetime = 525600

// settings is a settings file as it was understood.
type settings struct {
	config   relay.Config
	mappings []mappingSettings // beside config.Mappings: what check shows
	warnings []string
}

type mappingSettings struct {
	at       node
	listen   listenSettings
	set      bool
	account  accountSettings
	servers  []serverSettings
	lifetime int
}

type listenSettings struct {
	address     netip.Addr
	first, last int
	reject      bool
}

type serverSettings struct {
	relay.Server
	account accountSettings
}

// accountSettings are an account and where it stands.
type accountSettings struct {
	session.Account
	at     *object
	params []*object // of Account.Parameters
}

// loadSettings reads a settings file.
func loadSettings(file string) (*settings, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	return parseSettings(file, text)
}

// parseSettings reads the text of a settings file; name is for messages. The error is a *faults that names every fault.
func parseSettings(name string, text []byte) (*settings, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	r := &reader{text: text, faults: faults{file: name}}
	s := &settings{}
	root, err := hujson.Parse(text)
	if err != nil {
		line := 1
		if _, e := fmt.Sscanf(err.Error(), "hujson: line %d", &line); e != nil {
			line = 1
		}
		r.faults.list = append(r.faults.list, fault{0, line, "", "not JSON: " + withoutValue(err.Error())})
		return nil, &r.faults
	}
	r.root(s, node{"", &root})
	if len(r.faults.list) > 0 {
		return nil, &r.faults
	}
	return s, nil
}

// withoutValue cuts the text at fault off an error of hujson, which may be a password without its quotes:
// "hujson: line 1, column 2: invalid literal: text".
func withoutValue(text string) string {
	parts := strings.SplitN(strings.TrimPrefix(text, "hujson: "), ": ", 3)
	return strings.Join(parts[:min(len(parts), 2)], ": ")
}

func (r *reader) root(s *settings, n node) {
	o := r.object(n, rootKeys, rootLater)
	api := r.object(o.get("SessionAPI"), apiKeys, nil)
	a := session.API{
		Enabled: api.flag("Enabled"), Domain: strings.ToLower(api.text("Domain")), RequireHeader: api.flag("RequireHeader"),
	}
	if host, port, err := httpparse.SplitHost([]byte(a.Domain)); a.Domain != "" && (err != nil || port != 0 || string(host) != a.Domain) {
		r.fault(api.get("Domain"), "value %q: must be a host name without a port, or empty for the ports themselves", a.Domain)
	}
	r.object(o.get("HTTP"), []string{"UserAgent"}, nil).text("UserAgent") // of CONNECTs that the relay itself makes: none yet

	s.config.Limits = r.limits(r.object(o.get("Limits"), limitKeys, nil))

	mappings := o.list("ProxyMappings")
	short := o.get("Listen").there() || o.get("Authentication").there() || o.get("ProxyServers").there()
	switch {
	case short && o.get("ProxyMappings").there():
		r.fault(o.get("ProxyMappings"), "stands beside a top-level Listen, Authentication or ProxyServers: use one of the two forms")
	case short:
		m := r.mapping(o)
		m.at = n
		s.mappings = append(s.mappings, m)
	case len(mappings) == 0:
		r.fault(n, "no port to listen on: ProxyMappings must be a list of at least one mapping, or Listen be there")
	}
	for _, at := range mappings {
		m := r.mapping(r.object(at, mappingKeys, mappingLater))
		m.at = at
		s.mappings = append(s.mappings, m)
	}
	r.overlaps(s.mappings)
	r.circles(s.mappings)
	for i := range s.mappings {
		s.add(r, &s.mappings[i], a)
	}
}

// limits reads what bounds waits and buffers. What is not there keeps its default.
func (r *reader) limits(o *object) relay.Limits {
	l := relay.Limits{
		Connections: o.number("Connections", 1, 1<<20),
		HeadBytes:   o.number("HeadBytes", 1<<10, 1<<20),
		TargetBytes: o.number("TargetBytes", 1<<8, 1<<20),
		HeadFields:  o.number("HeadFields", 16, 4096),
		Head:        o.duration("HeadTime", false),
		Idle:        o.duration("IdleTime", false),
		Dial:        o.duration("DialTime", false),
		Reply:       o.duration("ReplyTime", false),
		TunnelIdle:  o.duration("TunnelIdleTime", true),
		HalfClosed:  o.duration("HalfClosedTime", false),
	}
	all := relay.DefaultLimits()
	if head := cmp.Or(l.HeadBytes, all.HeadBytes); cmp.Or(l.TargetBytes, all.TargetBytes) > head {
		if l.TargetBytes > 0 {
			r.fault(o.get("TargetBytes"), "value \"%d\": is more than the %d bytes of a whole head (HeadBytes)", l.TargetBytes, head)
		}
		l.TargetBytes = head
	}
	return l
}

// mapping reads a mapping's three parts.
func (r *reader) mapping(o *object) mappingSettings {
	var m mappingSettings
	listen := o.get("Listen")
	if !listen.there() {
		r.fault(node{listen.path, o.self.value}, "is missing: it says on which Port or PortRange to listen")
	}
	l := r.object(listen, listenKeys, listenLater)
	if listen.there() {
		m.listen = r.listen(l)
	}
	m.lifetime = l.number("StickyProxyLifetime", 0, maxLifetime)
	a := r.object(o.get("Authentication"), authKeys, authLater)
	m.set = a.flag("SetAuthentication")
	m.account = r.account(a)
	if m.set && m.account.Username == "" {
		r.fault(a.get("SetAuthentication"), "is true, but Username is empty")
	}
	servers := r.object(o.get("ProxyServers"), []string{"Items"}, []string{"Files"})
	for _, item := range servers.list("Items") {
		if o := r.object(item, serverKeys, serverLater); o.valid {
			m.servers = append(m.servers, r.server(o))
		}
	}
	return m
}

func (r *reader) listen(o *object) (l listenSettings) {
	port, span := o.get("Port"), o.get("PortRange")
	switch {
	case port.there() && span.there():
		r.fault(span, "stands beside Port: use one of the two")
	case port.there():
		l.first = o.number("Port", 1, math.MaxUint16)
		l.last = l.first
	case span.there():
		s := r.object(span, []string{"Start", "End"}, nil)
		for _, key := range []string{"Start", "End"} {
			if !s.get(key).there() {
				r.fault(node{s.get(key).path, span.value}, "is missing: the first and the last port, both included")
			}
		}
		l.first, l.last = s.number("Start", 1, math.MaxUint16), s.number("End", 1, math.MaxUint16)
		if l.first > l.last && l.last > 0 {
			r.fault(span, "Start %d is behind End %d: Start must be the lower one", l.first, l.last)
		}
	default:
		r.fault(o.self, "neither Port nor PortRange is there: one of them must be")
	}
	l.reject = o.flag("RejectHttpProxy")
	l.address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if text := o.text("Address"); text != "" {
		addr, err := netip.ParseAddr(text)
		switch {
		case err != nil:
			r.fault(o.get("Address"), "value %q: must be an IP address, such as 127.0.0.1 or ::1", text)
		case !addr.IsLoopback():
			r.fault(o.get("Address"), "value %q: anything but a loopback address needs Authentication.Required and Verify, which are not supported yet", text)
		default:
			l.address = addr
		}
	}
	return l
}

func (r *reader) account(o *object) accountSettings {
	a := accountSettings{Account: session.Account{Username: o.text("Username"), Password: o.text("Password")}, at: o}
	for _, item := range o.list("UsernameParameters") {
		p := r.object(item, parameterKeys, nil)
		if !p.valid {
			continue
		}
		if !p.get("Name").there() {
			r.fault(node{p.get("Name").path, item.value}, "is missing: the parameter's name")
			continue
		}
		a.params = append(a.params, p)
		a.Parameters = append(a.Parameters, session.Parameter{
			Name: p.text("Name"), Value: p.text("Value"), Default: p.text("Default"),
			SessionID: p.flag("SessionId"), SessionTime: p.flag("SessionTime"),
		})
	}
	return a
}

func (r *reader) server(o *object) (s serverSettings) {
	s.Host = o.text("Host")
	host := s.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if _, port, err := httpparse.SplitHost([]byte(host)); err != nil || port != 0 {
		at := o.get("Host")
		if !at.there() {
			at.value = o.self.value
		}
		shown := s.Host
		if strings.Contains(shown, "@") {
			shown = "***" // a user name and a password before the host
		}
		r.fault(at, "value %q: must be a host name or an IP address, without a port", shown)
	}
	if !o.get("Port").there() {
		r.fault(node{o.get("Port").path, o.self.value}, "is missing: the upstream proxy's port")
	}
	s.Port = uint16(o.number("Port", 1, math.MaxUint16))
	switch text := o.text("ProxyType"); strings.ToLower(text) {
	case "", "http":
	case "socks4", "socks5":
		r.fault(o.get("ProxyType"), "value %q: not supported yet; use Http", text)
	default:
		r.fault(o.get("ProxyType"), "value %q: must be Http, Socks4 or Socks5", text)
	}
	s.Sources = r.sources(o)
	s.account = r.account(o)
	return s
}

// sources reads the local addresses that a server is dialled from.
func (r *reader) sources(o *object) (list []netip.Addr) {
	server, err := netip.ParseAddr(o.text("Host"))
	for _, n := range o.list("SourceAddresses") {
		text, _ := n.value.Value.(hujson.Literal)
		addr, e := netip.ParseAddr(text.String())
		switch {
		case n.value.Value.Kind() != '"' || e != nil || addr.Zone() != "":
			r.fault(n, "%s: must be an IP address of this machine, as a string", n.show())
		case err == nil && server.Unmap().Is4() != addr.Unmap().Is4():
			r.fault(n, "%s: is of another IP version than the server's address %s", n.show(), server)
		default:
			list = append(list, addr.Unmap())
		}
	}
	return list
}

// overlaps finds ports that two mappings claim.
func (r *reader) overlaps(mappings []mappingSettings) {
	sorted := slices.Clone(mappings)
	slices.SortStableFunc(sorted, func(a, b mappingSettings) int {
		return cmp.Or(a.listen.address.Compare(b.listen.address), cmp.Compare(a.listen.first, b.listen.first))
	})
	for i := 1; i < len(sorted); i++ {
		a, b := sorted[i-1], sorted[i]
		if a.listen.address == b.listen.address && b.listen.first > 0 && b.listen.first <= a.listen.last {
			r.fault(b.at, "port %d belongs to %s already: ports must not overlap", b.listen.first, a.at.path)
		}
		if a.listen.last > b.listen.last {
			sorted[i].listen.last = a.listen.last // it may reach over the next one too
		}
	}
}

// circles finds upstream servers that are ports of the relay itself: one request would dial until nothing is left to
// dial with.
func (r *reader) circles(mappings []mappingSettings) {
	for _, m := range mappings {
		for _, s := range m.servers {
			addr, err := netip.ParseAddr(s.Host)
			local := err != nil && strings.EqualFold(s.Host, "localhost")
			for _, l := range mappings {
				own := int(s.Port) >= l.listen.first && int(s.Port) <= l.listen.last
				if own && s.Port > 0 && (local || err == nil && addr.Unmap() == l.listen.address.Unmap()) {
					r.fault(s.account.at.get("Port"), "value \"%d\": is a port of this relay itself: requests would go round in circles", s.Port)
				}
			}
		}
	}
}

// add makes the relay's mapping of m.
func (s *settings) add(r *reader, m *mappingSettings, api session.API) {
	cfg := session.PlanConfig{
		Lifetime: time.Duration(m.lifetime) * time.Minute, Account: &m.account.Account, Set: m.set, Compile: compilePattern,
	}
	out := relay.Mapping{
		Address: m.listen.address, First: uint16(m.listen.first), Last: uint16(m.listen.last),
		RejectPlain: m.listen.reject, API: api,
	}
	for i := range m.servers {
		cfg.Servers = append(cfg.Servers, &m.servers[i].account.Account)
		out.Servers = append(out.Servers, m.servers[i].Server)
	}
	plan, err := session.NewPlan(cfg)
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			r.planFault(m, e.(*session.Fault))
		}
	}
	out.Plan = plan
	for _, p := range m.account.Parameters {
		if p.SessionID && p.Value != "" && !strings.ContainsAny(p.Value[:1], "^$") {
			s.warnings = append(s.warnings, fmt.Sprintf("ports %s share one session, and new does not change it: the SessionId parameter %q is a literal; ^[A-Za-z0-9]{8} draws ids",
				portsOf(&out), p.Name))
		}
	}
	if len(m.servers) == 0 {
		s.warnings = append(s.warnings, fmt.Sprintf("ports %s have no ProxyServers: their requests are answered 502 no-upstream", portsOf(&out)))
	}
	s.config.Mappings = append(s.config.Mappings, out)
}

// planFault notes a fault of a mapping's plan where its key stands.
func (r *reader) planFault(m *mappingSettings, f *session.Fault) {
	account := &m.account
	if f.Server >= 0 {
		account = &m.servers[f.Server].account
	}
	o := account.at
	if f.Parameter >= 0 {
		o = account.params[f.Parameter]
	}
	at := o.get(f.Key)
	if !at.there() {
		at.value = o.self.value
	}
	r.fault(at, "%s", f.Reason)
}

// portsOf names a mapping's ports.
func portsOf(m *relay.Mapping) string {
	first := netip.AddrPortFrom(m.Address, m.First).String()
	if m.First == m.Last {
		return first
	}
	return fmt.Sprintf("%s-%d", first, m.Last)
}
