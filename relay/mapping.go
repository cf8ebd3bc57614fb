package relay

import (
	"fmt"
	"slices"

	"proxymap/relay/allow"
)

// A mapping is a Mapping with what its requests are served by. It never changes, but for its servers' state and their turn.
type mapping struct {
	Mapping
	*setup
	*proxies
	ofRules []Server
	allowed allow.List
}

// newMapping makes the mapping of cfg, whose ports had old before; nil: none. Where nothing has changed that a connection
// upstream depends on it shares old's proxies, else it keeps the servers that are the same. An error names the ports or the
// address that it is about.
func newMapping(cfg Mapping, ofRules []Server, s *setup, old *mapping, inOrder bool) (*mapping, error) {
	if cfg.First > cfg.Last {
		return nil, fmt.Errorf("ports %d-%d: the first is after the last", cfg.First, cfg.Last)
	}
	if err := checkSignals(cfg.RotateOn); err != nil {
		return nil, fmt.Errorf("ports %d-%d: %w", cfg.First, cfg.Last, err)
	}
	allowed, err := allowedOf(&cfg)
	if err != nil {
		return nil, err
	}
	m := &mapping{Mapping: cfg, setup: s, ofRules: ofRules, allowed: allowed}
	if old != nil && m.connectsAs(old) {
		m.proxies = old.proxies
		return m, nil
	}
	var had *proxies
	if old != nil {
		had = old.proxies
	}
	m.proxies, err = newProxies(cfg.Servers, ofRules, had, inOrder)
	return m, err
}

// connectsAs reports whether a connection upstream under old is what it would be under m: to the same servers, with
// credentials of the same plan, or to a target that may be dialled.
func (m *mapping) connectsAs(old *mapping) bool {
	same := func(a, b Server) bool { return a.equal(&b) }
	return m.Plan == old.Plan && m.PerPort == old.PerPort && m.AllowLocalTargets == old.AllowLocalTargets &&
		slices.EqualFunc(m.Servers, old.Servers, same) && slices.EqualFunc(m.ofRules, old.ofRules, same)
}

// assign gives a port its first server.
func (m *mapping) assign(p *port) {
	if server, fixed := m.ownServer(p.addr.Port()); fixed {
		p.slot.Fix(server)
		return
	}
	p.slot.Pin(m.nextServer())
}

// ownServer is the only server of a port, where each has one: the first port has the first server, the next one the next, and
// after the last comes the first again. Rotation, failover, quarantine and a kept session leave it there.
func (m *mapping) ownServer(port uint16) (server int, fixed bool) {
	if !m.PerPort || m.listed == 0 {
		return 0, false
	}
	return int(port-m.First) % m.listed, true
}

// pinAfter is what a port is pinned to that was pinned to server was of other proxies: to the same address, if that is still
// listed, as places has it (see placesOf), else to the next server in turn; where each port has its own, to that.
func (m *mapping) pinAfter(places []int, was int, port uint16) (server int, fixed bool) {
	if server, fixed = m.ownServer(port); fixed {
		return server, true
	}
	if was < len(places) && places[was] >= 0 {
		return places[was], false
	}
	return m.nextServer(), false
}
