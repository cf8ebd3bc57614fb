package settings

import (
	"net/netip"

	"proxymap/cmd/proxymap/internal/settings/schema"
	"proxymap/relay"
	"proxymap/relay/hostrule"
)

type listenSettings struct {
	address     netip.Addr
	first, last int // 0: not known
	reject      bool
	action      hostrule.Action
	ignoreRules bool
	local       bool // bypassing may lead to this machine
	busy        relay.BusyPort
	allowFrom   []netip.Prefix // who may connect
	header      bool           // the balancers that may have to say whose connection it is
}

func (l *listenSettings) holds(port int) bool {
	return l.first > 0 && l.first <= port && port <= l.last
}

func (r *reader) listen(o *object) (l listenSettings) {
	port, span := o.get("Port"), o.get("PortRange")
	switch {
	case port.there() && span.there():
		r.fault(span, "stands beside Port: use one of the two")
	case port.there():
		l.first = o.number("Port")
		l.last = l.first
	case span.there():
		s := r.object(span, schema.PortRange)
		for _, key := range schema.PortRange.Names() {
			if !s.get(key).there() {
				r.fault(s.get(key), "is missing: the first and the last port, both included")
			}
		}
		l.first, l.last = s.number("Start"), s.number("End")
		if l.first > l.last && l.last > 0 {
			r.fault(span, "Start %d is behind End %d: Start must be the lower one", l.first, l.last)
		}
	default:
		r.fault(o.self, "neither Port nor PortRange is there: one of them must be")
	}
	l.reject = o.flag("RejectHttpProxy")
	l.action = r.action(o)
	l.ignoreRules = o.flag("IgnoreHostRules")
	l.header = o.flag("ProxyProtocol")
	if o.choice("BusyPort") == "Skip" {
		l.busy = relay.SkipBusy
	}
	l.address = netip.MustParseAddr(defaultOf[string](o, "Address"))
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
	switch o.choice("Action") {
	case "Deny":
		return hostrule.Deny
	case "Bypass":
		return hostrule.Bypass
	case "File":
		r.fault(o.get("Action"), "value \"File\": a relay serves no files; use Allow, Deny or Bypass, and OverrideHostName to lead a host to a web server")
	}
	return hostrule.Allow
}
