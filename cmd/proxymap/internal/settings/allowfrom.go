package settings

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"proxymap/cmd/proxymap/internal/settings/schema"
	"proxymap/relay/allow"
)

// allowFrom reads who may connect; nil if nothing says so.
func (r *reader) allowFrom(o *object) (networks []netip.Prefix) {
	n := o.get("AllowFrom")
	if !n.there() {
		return nil
	}
	networks = []netip.Prefix{}
	items := o.list("AllowFrom")
	if n.isList() && len(items) < typeOf[schema.List](o, "AllowFrom").Least {
		r.fault(n, `is empty, so nobody could connect; name addresses and networks, such as ["192.0.2.7", "10.0.0.0/8"], or remove it`)
	}
	for _, item := range items {
		text, _ := item.literal()
		network, err := allow.Parse(text)
		if err != nil {
			r.fault(item, "%s: %v", item.show(), err)
			continue
		}
		networks = append(networks, network)
	}
	return networks
}

// mayConnect says who may connect to a mapping's ports: who is named, this machine where the ports are on a loopback address, or
// everyone where they ask for credentials.
func (r *reader) mayConnect(l *object, m *mappingSettings) (networks []netip.Prefix) {
	networks = r.allowFrom(l)
	a := m.listen.address
	switch guarded := m.auth.required && m.auth.verify && m.auth.account.Password != ""; {
	case networks != nil || !a.IsValid():
		return networks
	case a.IsLoopback():
		return allow.Loopback()
	case !guarded:
		r.fault(l.get("Address"), "value %q: anything but a loopback address needs Listen.AllowFrom, which names who may connect, such as [\"172.16.0.0/12\"], "+
			"or Authentication.Required and Verify with a Username and a Password, or anybody could use the ports", a)
	}
	return allow.Everyone()
}

// nobodyIn says why of those who are named under a key nobody can reach an address; empty: somebody can. The unspecified
// address of IPv6 is reached by IPv4 too.
func nobodyIn(at netip.Addr, key string, networks []netip.Prefix) string {
	reach, who := allow.Everyone()[0], "by IPv4 alone"
	if at.Is6() {
		reach, who = allow.Everyone()[1], "by IPv6 alone"
	}
	remedy := "name networks of that version"
	for _, n := range allow.Loopback() {
		if n.Contains(at) {
			reach, who, remedy = n, "from this machine alone", "add "+at.String()+", or listen on another address"
		}
	}
	if !at.IsValid() || at == netip.IPv6Unspecified() || slices.ContainsFunc(networks, reach.Overlaps) {
		return ""
	}
	return fmt.Sprintf("nobody in: %s is reached %s, and %s is %s; %s", at, who, key, allowedOf(networks), remedy)
}

// shownNetworks is how many networks of a list are shown.
const shownNetworks = 20

// allowedOf shows who may connect.
func allowedOf(networks []netip.Prefix) string {
	var names []string
	everyone := map[netip.Prefix]bool{}
	for _, n := range networks {
		name := n.String()
		if n.IsSingleIP() {
			name = n.Addr().String()
		}
		names = append(names, name)
		everyone[n] = n.Bits() == 0
	}
	all := allow.Everyone()
	switch more := len(names) - shownNetworks; {
	case everyone[all[0]] && everyone[all[1]]:
		return "everyone"
	case more > 0:
		return strings.Join(names[:shownNetworks], ", ") + " and " + count(more, "other")
	}
	return strings.Join(names, ", ")
}
