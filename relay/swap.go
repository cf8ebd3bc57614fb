package relay

import (
	"net/netip"

	"proxymap/session"
)

// A port may take another mapping at any moment, while requests come. Each of them is served by one mapping alone, which its
// connection has as conn.m from the request's head on: the servers, the credentials and the limits are that one's, and so is the
// session. The port's slot takes the mapping's plan in another step, so a request may find a session of another plan than
// its mapping's. Before anything has been written upstream it is routed anew then. After that it stays as it is, under the session that it
// has.

// newPort is a port that is not bound yet.
func newPort(m *mapping, addr netip.AddrPort) *port {
	p := &port{slot: session.NewSlot(m.Plan), addr: addr, fd: -1}
	p.coming.Store(m)
	p.current.Store(m)
	return p
}

// mapping is the one that the port's next request is served by.
func (p *port) mapping() *mapping { return p.current.Load() }

// take has the port's next requests be served by m, at that moment of wall time. places says where the servers are that its
// session may be pinned to (see placesOf), and fate what becomes of that. Nobody else may call it for the port meanwhile.
func (p *port) take(now int64, m *mapping, places []int, fate session.Fate) (change session.Change, how session.Adoption) {
	p.coming.Store(m) // before the slot has sessions of m's plan
	if m.proxies != p.mapping().proxies {
		server, fixed := m.pinAfter(places, p.slot.Server(), p.addr.Port())
		change, how = p.slot.Adopt(now, m.Plan, server, fixed, fate)
	}
	p.current.Store(m)
	return change, how
}

// fits reports whether a session that the port has, nil for none, is what m's plan gives.
func (p *port) fits(m *mapping, s *session.Session) bool {
	if s == nil {
		return p.slot.Plan() == m.Plan
	}
	return s.IsOf(m.Plan)
}

// mappingOf is the mapping that a session of the port's belongs to, nil for none, unless others have come since.
func (p *port) mappingOf(s *session.Session) *mapping {
	if m := p.mapping(); p.fits(m, s) {
		return m
	}
	return p.coming.Load()
}

// fits reports whether the request may go under a session of this moment. Past the upstream there is none.
func (x *exchange) fits(s *session.Session) bool {
	return x.direct || x.c.port.fits(x.c.m, s)
}

// routeAnew has all be decided once more about a request that is not on its way yet, by the mapping of a session that the
// port has by now. It is counted no second time.
func (x *exchange) routeAnew(s *session.Session) {
	x.c.m = x.c.port.mappingOf(s)
	x.anew, x.rule, x.direct = true, nil, false
	x.route()
}

// count counts what becomes of the request.
func (x *exchange) count(what count) {
	if !x.anew {
		x.c.l.count(what)
	}
}
