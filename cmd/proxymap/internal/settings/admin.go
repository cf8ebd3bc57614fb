package settings

import (
	"net/netip"

	"proxymap/cmd/proxymap/internal/settings/schema"
)

// Admin is the section of that name. Without an address there is no admin listener.
type Admin struct {
	Address netip.AddrPort
	Token   string // that every request has to bring; empty: none
}

// admin reads where the admin listener is. Others than this machine's users have to show a token.
func (r *reader) admin(o *object, mappings []mappingSettings) (a Admin) {
	if !o.valid {
		return a
	}
	a.Token = o.secret("Token")
	if n := o.get("Token"); a.Token != "" && (len(a.Token) < schema.MinToken || len(a.Token) > schema.MaxToken || !isVisible(a.Token, "")) {
		r.fault(n, "must be %d to %d visible ASCII characters, without a space", schema.MinToken, schema.MaxToken)
	}
	text := o.text("Address")
	addr, err := netip.ParseAddrPort(text)
	switch {
	case err != nil || addr.Port() == 0 || addr.Addr().Zone() != "":
		r.fault(o.orSelf("Address"), "value %q: must be an IP address and a port, such as 127.0.0.1:10200", text)
		return a
	case !addr.Addr().IsLoopback() && a.Token == "":
		r.fault(o.get("Address"), "value %q: anything but a loopback address needs Admin.Token, of at least %d characters", text, schema.MinToken)
	}
	a.Address = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	for i := range mappings {
		if l := &mappings[i].listen; l.holds(int(addr.Port())) && sameSocket(l.address, a.Address.Addr()) {
			r.fault(o.get("Address"), "value %q: the port belongs to %s already; choose another", text, mappings[i].name())
		}
	}
	return a
}
