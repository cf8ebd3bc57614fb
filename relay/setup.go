package relay

import (
	"net"
	"net/netip"

	"proxymap/httpparse"
	"proxymap/relay/hostrule"
	"proxymap/relay/refusal"
)

// A setup is what the requests of all ports are served under, whatever their mapping. It never changes once the ports
// listen: other settings are another setup, which other mappings lead to.
type setup struct {
	limits         Limits
	headLimits     httpparse.Limits // of requests
	responseLimits httpparse.Limits
	rules          *hostrule.Index
	remedies       refusal.Remedies
	userAgent      string
	own            map[uint16][]netip.Addr // where no request may be dialled for, by port
}

// newSetup is what cfg says of all ports, but for their addresses, which are known when they are bound.
func newSetup(cfg *Config) *setup {
	s := &setup{limits: cfg.Limits.withDefaults(), rules: cfg.Rules, remedies: cfg.Remedies, userAgent: cfg.UserAgent, own: map[uint16][]netip.Addr{}}
	s.headLimits = httpparse.Limits{Head: s.limits.HeadBytes, Target: s.limits.TargetBytes, Fields: s.limits.HeadFields}
	s.responseLimits = httpparse.Limits{Head: s.limits.ResponseHeadBytes, Fields: s.limits.HeadFields}
	for _, addr := range cfg.OtherPorts {
		s.disown(addr)
	}
	return s
}

// setup is that of this moment. What a request is served under its mapping says.
func (r *Relay) setup() *setup { return r.latest.Load() }

// disown notes that no request may be dialled to addr for. It is called before anything is served.
func (s *setup) disown(addr netip.AddrPort) {
	s.own[addr.Port()] = append(s.own[addr.Port()], addr.Addr().Unmap())
}

// owns reports whether addr leads to a port of the relay's.
func (s *setup) owns(addr netip.AddrPort) bool {
	for _, own := range s.own[addr.Port()] {
		if own == addr.Addr() || addr.Addr().IsUnspecified() {
			return true
		}
		if own.IsUnspecified() && (addr.Addr().IsLoopback() || isInterface(addr.Addr())) {
			return true
		}
	}
	return false
}

// isInterface reports whether addr is one of this machine's. Asking the system is slow, and only done for a target with
// a port of ours where we listen on all addresses.
func isInterface(addr netip.Addr) bool {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return true // we cannot tell, so it may be
	}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == addr {
			return true
		}
	}
	return false
}
