package relay

import (
	"cmp"
	"net/netip"
	"slices"
)

// A portTable is the ports that a relay has at one moment, and the mappings that they are of. It is never changed: whoever adds
// ports or takes some out puts another table in its place. What looks at all ports, or at one that it knows by its address,
// loads the table once and works with that to its end. A port that is in it may have been taken out of the next one by then.
type portTable struct {
	mappings []*mapping // in the order of Config
	ports    []*port    // in the order of their mappings
	of       []int      // by port: its mapping's index in mappings
	byNumber []*port    // by the number of the port; those with the same number in the order of ports

	leaving []*port                    // have been taken out, and have connections still
	gone    map[netip.AddrPort]Traffic // of those that have been taken out and have no connections any more, by their address
}

// newPortTable makes a table of ports whose addresses are known. of says whose they are: an index in mappings for each.
func newPortTable(mappings []*mapping, ports []*port, of []int) *portTable {
	t := &portTable{mappings: mappings, ports: ports, of: of, byNumber: slices.Clone(ports)}
	slices.SortStableFunc(t.byNumber, func(a, b *port) int { return cmp.Compare(a.addr.Port(), b.addr.Port()) })
	return t
}

// at returns the ports with that number: there is one for each address.
func (t *portTable) at(number uint16) []*port {
	first, _ := slices.BinarySearchFunc(t.byNumber, number, func(p *port, n uint16) int { return cmp.Compare(p.addr.Port(), n) })
	list := t.byNumber[first:]
	for i, p := range list {
		if p.addr.Port() != number {
			return list[:i]
		}
	}
	return list
}

// find returns the port with that address, nil if there is none.
func (t *portTable) find(addr netip.AddrPort) *port {
	for _, p := range t.at(addr.Port()) {
		if p.addr == addr {
			return p
		}
	}
	return nil
}

// those returns the ports with those addresses, in their order, and which of the addresses are no port's.
func (t *portTable) those(addrs []netip.AddrPort) (ports []*port, missing []netip.AddrPort) {
	ports = make([]*port, 0, len(addrs))
	for _, addr := range addrs {
		if p := t.find(addr); p != nil {
			ports = append(ports, p)
		} else {
			missing = append(missing, addr)
		}
	}
	return ports, missing
}

// portAddresses are those of the ports.
func portAddresses(ports []*port) []netip.AddrPort {
	list := make([]netip.AddrPort, len(ports))
	for i, p := range ports {
		list[i] = p.addr
	}
	return list
}

// ports are those of the relay at this moment.
func (r *Relay) ports() []*port { return r.table.Load().ports }

// Ports are the addresses that the relay listens on at this moment, in the order of the mappings. They may be others at the
// next.
func (r *Relay) Ports() []netip.AddrPort { return portAddresses(r.ports()) }

// AppendPorts appends the addresses on which the relay listens on a port of that number: none, one, or one for each address of
// the mappings that have it.
func (r *Relay) AppendPorts(list []netip.AddrPort, number uint16) []netip.AddrPort {
	for _, p := range r.table.Load().at(number) {
		list = append(list, p.addr)
	}
	return list
}
