package start

import (
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"proxymap/cmd/proxymap/internal/settings/layer"
	"proxymap/cmd/proxymap/internal/settings/serverlist"
)

// The parameter that is appended to user names, as -session-LZpmRqdu.
const (
	sessionName    = "session"
	sessionPattern = "^[A-Za-z0-9]{8}"
)

// perPort is the spread that gives each port a server of its own.
const perPort = "PerPort"

// proxyTypes are serverlist's types as the settings name them.
var proxyTypes = map[serverlist.Type]string{serverlist.HTTP: "Http", serverlist.SOCKS4: "Socks4", serverlist.SOCKS5: "Socks5"}

// servers replace all that files say of servers.
func (m *maker) servers(f *Form, folder string) {
	if first := f.firstServer(); first.there() {
		m.clear(first, "ProxyServers")
		m.unset(first, "ProxyServersFiles")
		m.unset(first, "ProxyServersSpread")
	}
	for i, s := range m.parsed(f.upstreams) {
		m.server(s, strconv.Itoa(i))
	}
	if g := f.upstreamFile; m.usable(g) {
		m.put(g, pathIn(folder, g.text), "ProxyServers", "Files", "0", "Path")
		m.put(g, "Text", "ProxyServers", "Files", "0", "Format") // whatever its name is
	}
	m.set(f.spread, "ProxyServers", "Spread")
	if g := f.needsSession(); g.there() {
		m.session(g)
	}
}

// firstServer is what names servers first.
func (f *Form) firstServer() given {
	if len(f.upstreams) > 0 {
		return f.upstreams[0]
	}
	return f.upstreamFile
}

// A server is what a value names, and where it came from.
type server struct {
	serverlist.Server
	given
}

// parsed are the servers of values. The faults do not show them: any part may be a password.
func (m *maker) parsed(list []given) (servers []server) {
	for i, g := range list {
		if len(list) > 1 {
			g.from += ", number " + strconv.Itoa(i+1)
		}
		if !m.usable(g) {
			continue
		}
		s, err := serverlist.Parse(g.text)
		switch {
		case err != nil && len(list) > 1 && strings.HasPrefix(g.from, "environment"):
			m.fault(g, "not an upstream proxy: %v. Spaces separate several; in a user name or a password one is %%20", err)
		case err != nil:
			m.fault(g, "not an upstream proxy: %v", err)
		case !utf8.ValidString(s.Username + s.Password):
			m.fault(g, "not an upstream proxy: the user name or the password is not UTF-8; percent-encode its bytes in UTF-8")
		default:
			servers = append(servers, server{s, g})
		}
	}
	return servers
}

// server puts an item into the list.
func (m *maker) server(s server, index string) {
	at := func(key string) []string { return []string{"ProxyServers", "Items", index, key} }
	m.put(s.given, s.Host, at("Host")...)
	m.put(s.given, strconv.Itoa(int(s.Port)), at("Port")...)
	m.put(s.given, proxyTypes[s.Type], at("ProxyType")...)
	if s.Username != "" {
		m.put(s.given, s.Username, at("Username")...)
	}
	if s.Password != "" {
		m.put(s.given, s.Password, at("Password")...)
	}
}

// needsSession returns what has user names that the session's id is to be appended to; nothing if there are none, if a
// provider's form says where the id goes, or if each port is to have its server's credentials as they stand.
func (f *Form) needsSession() given {
	if f.provider.there() || strings.EqualFold(f.spread.text, perPort) {
		return given{}
	}
	for _, g := range f.upstreams {
		if s, err := serverlist.Parse(g.text); err == nil && s.Username != "" {
			return g
		}
	}
	return f.upstreamFile
}

// session has the session's id appended to user names, unless something else says what they are made of.
func (m *maker) session(g given) {
	for _, p := range []struct{ key, value string }{{"Name", sessionName}, {"Value", sessionPattern}, {"SessionId", "true"}} {
		m.list = append(m.list, layer.Setting{
			Path: []string{"Authentication", "UsernameParameters", "0", p.key}, Value: p.value, From: g.from, Unless: accountForms,
		})
	}
}

// accountForms are the keys of which one is there if something else says what user names are made of. Beside ProxyMappings
// everything of the short form is a fault, which is to name what was given.
var accountForms = [][]string{
	{"Authentication", "UsernameParameters"}, {"Authentication", "Provider"}, {"Authentication", "Template"}, {"ProxyMappings"},
}

// pathIn is a path that begins at a folder, unless it is absolute.
func pathIn(folder, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(folder, path)
}
