package settings

import (
	"net/netip"

	"proxymap/cmd/proxymap/internal/settings/schema"
	"proxymap/relay/allow"
)

// Admin is the section of that name. Without an address there is no admin listener.
type Admin struct {
	Address   netip.AddrPort
	Token     string         // that every request has to bring; empty: none
	AllowFrom []netip.Prefix // who may connect
}

// admin reads where the admin listener is. Others than this machine's users have to show a token, or be named.
func (r *reader) admin(o *object, mappings []mappingSettings) (a Admin) {
	if !o.valid {
		return a
	}
	a.Token = o.secret("Token")
	if n := o.get("Token"); a.Token != "" && (len(a.Token) < schema.MinToken || len(a.Token) > schema.MaxToken || !isVisible(a.Token, "")) {
		r.fault(n, "must be %d to %d visible ASCII characters, without a space", schema.MinToken, schema.MaxToken)
	}
	a.AllowFrom = r.allowFrom(o)
	text := o.text("Address")
	addr, err := netip.ParseAddrPort(text)
	switch {
	case err != nil || addr.Port() == 0 || addr.Addr().Zone() != "":
		r.fault(o.get("Address"), "value %q: must be an IP address and a port, such as 127.0.0.1:10200", text)
		return a
	case a.AllowFrom != nil:
	case a.Token != "":
		a.AllowFrom = allow.Everyone()
	case addr.Addr().IsLoopback():
		a.AllowFrom = allow.Loopback()
	default:
		r.fault(o.get("Address"), "value %q: anything but a loopback address needs Admin.Token, of at least %d characters, or Admin.AllowFrom, which names who may connect",
			text, schema.MinToken)
	}
	a.Address = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	for i := range mappings {
		if l := &mappings[i].listen; l.holds(int(addr.Port())) && sameSocket(l.address, a.Address.Addr()) {
			r.fault(o.get("Address"), "value %q: the port belongs to %s already; choose another", text, mappings[i].name())
		}
	}
	return a
}
