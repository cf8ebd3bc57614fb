package settings

import (
	"net/netip"
	"strings"

	"proxymap/cmd/proxymap/internal/settings/layer"
	"proxymap/httpparse"
	"proxymap/relay"
	"proxymap/relay/socks"
)

type serverSettings struct {
	relay.Server
	account accountSettings
}

func (r *reader) server(o *object) (s serverSettings) {
	s.Host = relay.PlainHost(o.text("Host"))
	if !isHost(s.Host) {
		shown := s.Host
		if strings.Contains(shown, "@") {
			shown = "***" // a user name and a password before the host
		}
		r.fault(o.get("Host"), "value %q: must be a host name or an IP address, without a port", shown)
	}
	if !o.get("Port").there() {
		r.fault(o.get("Port"), "is missing: the upstream proxy's port")
	}
	s.Port = uint16(o.number("Port"))
	switch o.choice("ProxyType") {
	case "Socks4":
		s.Type = relay.SOCKS4
	case "Socks5":
		s.Type = relay.SOCKS5
	}
	s.ResolveIP = o.flag("ResolveIP")
	s.Sources = r.sources(o)
	s.account = r.account(o)
	if s.account.Template != nil && s.account.lacksUsername() {
		r.fault(o.orTemplate(), "needs a Username beside it: a server's own credentials are made of the server's own account")
	}
	return s
}

// isHost reports whether host is a name or an IP address, without a port.
func isHost(host string) bool {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	_, port, err := httpparse.SplitHost([]byte(host))
	return err == nil && port == 0
}

// sources reads the local addresses that a server is dialled from.
func (r *reader) sources(o *object) (list []netip.Addr) {
	server, err := netip.ParseAddr(o.text("Host"))
	for _, n := range o.list("SourceAddresses") {
		text, _ := n.literal()
		addr, e := netip.ParseAddr(text)
		switch {
		case n.value.Kind != layer.String || e != nil || addr.Zone() != "":
			r.fault(n, "%s: must be an IP address of this machine, as a string", n.show())
		case err == nil && server.Unmap().Is4() != addr.Unmap().Is4():
			r.fault(n, "%s: is of another IP version than the server's address %s", n.show(), server)
		default:
			list = append(list, addr.Unmap())
		}
	}
	return list
}

// names are in the order in which they came, each once.
type names struct {
	list []string
	seen map[string]bool
}

func (n *names) add(name string) {
	if n.seen == nil {
		n.seen = map[string]bool{}
	}
	if !n.seen[name] {
		n.seen[name] = true
		n.list = append(n.list, name)
	}
}

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
	if n > socks.MaxField {
		r.fault(a.at.get("Username"), "has %d bytes with its parameters; a SOCKS server (%s) takes at most %d: shorten it, or use ProxyType Http",
			n, server.Server.HostPort(), socks.MaxField)
	}
	if len(a.Password) == 0 {
		return
	}
	if server.Type == relay.SOCKS4 {
		s.passwordless.add("upstream " + server.Server.HostPort())
	} else if len(a.Password) > socks.MaxField {
		r.fault(a.at.get("Password"), "has %d bytes; a SOCKS5 server (%s) takes at most %d: shorten it, or use ProxyType Http",
			len(a.Password), server.Server.HostPort(), socks.MaxField)
	}
}
