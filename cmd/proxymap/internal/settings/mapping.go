package settings

import (
	"math"
	"net/netip"
	"strings"

	"github.com/tailscale/hujson"

	"proxymap/httpparse"
	"proxymap/relay"
	"proxymap/relay/hostrule"
	"proxymap/session/credential"
)

// mappingSettings are a mapping's three parts.
type mappingSettings struct {
	at       node
	listen   listenSettings
	listenAt *object
	rotation rotationSettings
	auth     authSettings
	servers  []serverSettings
}

// name is how messages call a mapping.
func (m *mappingSettings) name() string {
	if m.at.path == "" {
		return "Listen"
	}
	return m.at.path
}

type listenSettings struct {
	address     netip.Addr
	first, last int // 0: not known
	reject      bool
	action      hostrule.Action
	ignoreRules bool
	local       bool // bypassing may lead to this machine
}

func (l *listenSettings) holds(port int) bool {
	return l.first > 0 && l.first <= port && port <= l.last
}

// authSettings say what clients have to bring, and what goes upstream.
type authSettings struct {
	required, verify, set, remove, parse bool
	account                              accountSettings
}

type serverSettings struct {
	relay.Server
	account accountSettings
}

// accountSettings are an account and where it stands.
type accountSettings struct {
	credential.Account
	at     *object
	params []*object // of Account.Parameters
}

// mapping reads a mapping's three parts, of which auth has been looked at.
func (r *reader) mapping(o, auth *object) mappingSettings {
	m := mappingSettings{at: o.self}
	listen := o.get("Listen")
	if !listen.there() {
		r.fault(o.orSelf("Listen"), "is missing: it says on which Port or PortRange to listen")
	}
	l := r.object(listen, listenKeys)
	if listen.there() {
		m.listen = r.listen(l)
	}
	m.listenAt, m.rotation = l, r.rotation(l)
	m.auth = r.authentication(auth)
	if a := m.listen.address; a.IsValid() && !a.IsLoopback() && !(m.auth.required && m.auth.verify) {
		r.fault(l.get("Address"), "value %q: anything but a loopback address needs Authentication.Required and Verify, or anybody could use the ports",
			a)
	}
	r.included(o, "ProxyServers", serverListKeys, func(item node) {
		if o := r.object(item, serverKeys); o.valid {
			m.servers = append(m.servers, r.server(o))
		}
	})
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
		s := r.object(span, portRangeKeys)
		for _, key := range portRangeKeys.known {
			if !s.get(key).there() {
				r.fault(s.orSelf(key), "is missing: the first and the last port, both included")
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
	l.action = r.action(o)
	l.ignoreRules = o.flag("IgnoreHostRules")
	l.address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if text := o.text("Address"); text != "" {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			r.fault(o.get("Address"), "value %q: must be an IP address, such as 127.0.0.1 or ::1", text)
		} else {
			l.address = addr.Unmap()
		}
	}
	l.local = o.flag("AllowLocalTargets") || l.address.IsLoopback() && !o.get("AllowLocalTargets").there()
	return l
}

// action reads what becomes of requests. ProxyMapService's File is told apart from a slip of the pen.
func (r *reader) action(o *object) hostrule.Action {
	switch o.choice("Action", "Allow", "Deny", "Bypass", "File") {
	case "Deny":
		return hostrule.Deny
	case "Bypass":
		return hostrule.Bypass
	case "File":
		r.fault(o.get("Action"), "value \"File\": a relay serves no files; use Allow, Deny or Bypass, and OverrideHostName to lead a host to a web server")
	}
	return hostrule.Allow
}

func (r *reader) authentication(o *object) authSettings {
	a := authSettings{
		required: o.flag("Required"), verify: o.flag("Verify"), set: o.flag("SetAuthentication"), remove: o.flag("RemoveAuthentication"),
		parse: o.flag("ParseUsernameParameters"), account: r.account(o),
	}
	if a.set && a.account.lacksUsername() {
		r.fault(o.get("SetAuthentication"), "is true, but Username is empty")
	}
	return a
}

func (r *reader) account(o *object) accountSettings {
	a := accountSettings{Account: credential.Account{Username: o.text("Username"), Password: o.text("Password"), Template: r.template(o)}, at: o}
	for _, item := range o.list("UsernameParameters") {
		p := r.object(item, parameterKeys)
		if !p.valid {
			continue
		}
		if !p.get("Name").there() {
			r.fault(p.orSelf("Name"), "is missing: the parameter's name")
			continue
		}
		a.params = append(a.params, p)
		a.Parameters = append(a.Parameters, credential.Parameter{
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
		shown := s.Host
		if strings.Contains(shown, "@") {
			shown = "***" // a user name and a password before the host
		}
		r.fault(o.orSelf("Host"), "value %q: must be a host name or an IP address, without a port", shown)
	}
	if !o.get("Port").there() {
		r.fault(o.orSelf("Port"), "is missing: the upstream proxy's port")
	}
	s.Port = uint16(o.number("Port", 1, math.MaxUint16))
	switch o.choice("ProxyType", "Http", "Socks4", "Socks5") {
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
