package relay

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"proxymap/relay/allow"
)

// A mapping is a Mapping with its servers' state. It never changes, but for that state and the turn of its servers, once
// its ports listen.
type mapping struct {
	Mapping
	*setup
	allowed  allow.List
	servers  []*server // those listed, then those of rules
	listed   int
	order    []int         // indexes of those listed, shuffled, in which they are given out
	after    []int         // the listed server that is next behind each: they are shuffled at the start
	resolves bool          // one of those listed is to be told targets' addresses
	chosen   atomic.Uint32 // servers given out in turn
}

// nextServer gives out the mapping's servers in turn.
func (m *mapping) nextServer() int {
	if m.listed == 0 {
		return 0
	}
	return m.order[int(m.chosen.Add(1)-1)%m.listed]
}

// assign gives a port its first server. With PerPort that is its only one: the first port has the first server, the next one
// the next, and behind the last comes the first again. Rotation, failover, quarantine and a kept session leave it there.
func (m *mapping) assign(p *port) {
	if m.PerPort && m.listed > 0 {
		p.slot.Fix(int(p.addr.Port()-m.First) % m.listed)
		return
	}
	p.slot.Pin(m.nextServer())
}

// shuffle puts the listed servers into the order in which they are given out.
func (m *mapping) shuffle(servers []Server, inOrder bool) {
	m.order = rand.Perm(len(servers))
	if inOrder {
		slices.Sort(m.order)
	}
	m.after = make([]int, len(servers))
	for i, s := range m.order {
		m.after[s] = m.order[(i+1)%len(m.order)]
	}
}
