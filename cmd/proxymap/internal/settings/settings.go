package settings

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tailscale/hujson"

	"proxymap/httpparse"
	"proxymap/relay"
	"proxymap/session"
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

// Admin is the section of that name. Without an address there is no admin listener.
type Admin struct {
	Address netip.AddrPort
	Token   string // that every request has to bring; empty: none
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

func newReader(name string, text []byte, read func(string) ([]byte, error)) *reader {
	r := &reader{read: read, faults: faults{file: name}}
	r.main = r.source(name, text)
	return r
}

// source notes a file that is read.
func (r *reader) source(name string, text []byte) *source {
	r.count++
	return &source{name, bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), r.count}
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

// parse reads a file as JSON.
func (r *reader) parse(in *source) (root node, ok bool) {
	value, err := hujson.Parse(in.text)
	if err != nil { // for hujson a comment must end in a line's end, and for .NET in the file's
		if v, e := hujson.Parse(append(slices.Clip(in.text), '\n')); e == nil {
			value, err = v, nil
		}
	}
	if err == nil {
		return node{"", &value, in}, true
	}
	line := 1
	if _, e := fmt.Sscanf(err.Error(), "hujson: line %d", &line); e != nil {
		line = 1
	}
	r.faults.list = append(r.faults.list, fault{order: in.order, file: in.name, line: line, text: "not JSON: " + withoutValue(err.Error())})
	return node{}, false
}

// withoutValue cuts the text at fault off an error of hujson, which may be a password without its quotes:
// "hujson: line 1, column 2: invalid literal: text".
func withoutValue(text string) string {
	parts := strings.SplitN(strings.TrimPrefix(text, "hujson: "), ": ", 3)
	return strings.Join(parts[:min(len(parts), 2)], ": ")
}

func (r *reader) root(s *Settings, n node) {
	o := r.object(n, rootKeys)
	auth := r.object(o.get("Authentication"), authKeys)
	api := r.sessionAPI(r.object(o.get("SessionAPI"), apiKeys))
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

func (r *reader) sessionAPI(o *object) session.API {
	a := session.API{
		Enabled: o.flag("Enabled"), Domain: strings.ToLower(o.text("Domain")), RequireHeader: o.flag("RequireHeader"),
	}
	if host, port, err := httpparse.SplitHost([]byte(a.Domain)); a.Domain != "" && (err != nil || port != 0 || string(host) != a.Domain) {
		r.fault(o.get("Domain"), "value %q: must be a host name without a port, or empty for the ports themselves", a.Domain)
	}
	return a
}

// userAgent reads what goes out in heads that the relay makes, so it must not hold a line's end.
func (r *reader) userAgent(o *object) string {
	if !o.get("UserAgent").there() {
		return "proxymapper"
	}
	text := o.text("UserAgent")
	if !isVisible(text, " ") || len(text) > 256 || strings.TrimSpace(text) != text {
		r.fault(o.get("UserAgent"), "value %q: must be at most 256 visible ASCII characters, or empty for none", text[:min(len(text), 80)])
	}
	return text
}

// isVisible reports whether text is of ASCII characters that can be seen, and those of extra.
func isVisible(text, extra string) bool {
	for i := range len(text) {
		if c := text[i]; (c <= ' ' || c > '~') && strings.IndexByte(extra, c) < 0 {
			return false
		}
	}
	return true
}

const minToken = 16 // characters of Admin.Token

// admin reads where the admin listener is. Others than this machine's users have to show a token.
func (r *reader) admin(o *object, mappings []mappingSettings) (a Admin) {
	if !o.valid {
		return a
	}
	a.Token = o.text("Token")
	if n := o.get("Token"); a.Token != "" && (len(a.Token) < minToken || len(a.Token) > 256 || !isVisible(a.Token, "")) {
		r.fault(n, "must be %d to 256 visible ASCII characters, without a space", minToken)
	}
	text := o.text("Address")
	addr, err := netip.ParseAddrPort(text)
	switch {
	case err != nil || addr.Port() == 0 || addr.Addr().Zone() != "":
		r.fault(o.orSelf("Address"), "value %q: must be an IP address and a port, such as 127.0.0.1:10200", text)
		return a
	case !addr.Addr().IsLoopback() && a.Token == "":
		r.fault(o.get("Address"), "value %q: anything but a loopback address needs Admin.Token, of at least %d characters", text, minToken)
	}
	a.Address = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	for i := range mappings {
		if l := &mappings[i].listen; l.holds(int(addr.Port())) && sameSocket(l.address, a.Address.Addr()) {
			r.fault(o.get("Address"), "value %q: the port belongs to %s already; choose another", text, mappings[i].name())
		}
	}
	return a
}

// stateFile reads where sessions are kept. The file is made by the first start, its folder is not.
func (r *reader) stateFile(o *object) string {
	name, n := o.text("File"), o.get("File")
	if name == "" {
		return ""
	}
	path := r.pathOf(name)
	info, err := os.Stat(path)
	folder, folderErr := os.Stat(filepath.Dir(path))
	switch {
	case path == filepath.Clean(r.main.name):
		r.fault(n, "value %q: is this settings file; name one of its own", name)
	case err == nil && !info.Mode().IsRegular():
		r.fault(n, "value %q: is no ordinary file; name one that is, or that is not there yet", name)
	case folderErr != nil:
		r.fault(n, "value %q: its folder must exist: %v", name, folderErr)
	case !folder.IsDir():
		r.fault(n, "value %q: %s is no folder", name, filepath.Dir(path))
	}
	return path
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

// sameSocket reports whether listening on both addresses, with one port, cannot be.
func sameSocket(a, b netip.Addr) bool {
	return a == b || a.IsUnspecified() && (a.Is6() || b.Is4()) || b.IsUnspecified() && (b.Is6() || a.Is4())
}

// overlaps finds ports that two mappings claim.
func (r *reader) overlaps(mappings []mappingSettings) {
	sorted := slices.Clone(mappings)
	slices.SortStableFunc(sorted, func(a, b mappingSettings) int { return cmp.Compare(a.listen.first, b.listen.first) })
	told := map[string]bool{}
	for i := range sorted {
		a := &sorted[i]
		for j := i + 1; j < len(sorted) && sorted[j].listen.first <= a.listen.last; j++ {
			b := &sorted[j]
			if b.listen.first > 0 && sameSocket(a.listen.address, b.listen.address) && !told[b.at.path] {
				r.fault(b.at, "port %d belongs to %s already: ports must not overlap", b.listen.first, a.name())
				told[b.at.path] = true
			}
		}
	}
}
