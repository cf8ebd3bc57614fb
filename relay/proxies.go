package relay

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"proxymap/relay/internal/kernel"
)

// The proxies of a mapping are its upstream servers with their state, which is all that changes of them. The index of a server
// means nothing among other proxies. Mappings that differ in nothing that a connection upstream depends on have them in
// common, so what is connected under one goes on under the other.
type proxies struct {
	servers  []*server // those listed, then those of rules
	listed   int
	order    []int         // indexes of those listed, shuffled, in which they are given out
	after    []int         // the listed server that is next after each: they are shuffled at the start
	resolves bool          // one of those listed is to be told targets' addresses
	chosen   atomic.Uint32 // servers given out in turn
}

// newProxies makes the proxies of the servers that are listed and those of rules. What old has of a server that stays goes on:
// what is known of its name, its quarantine, its sources. If all of those listed stay, so does their turn. old may be nil. An
// error names the source address that cannot be had.
func newProxies(listed, ofRules []Server, old *proxies, inOrder bool) (*proxies, error) {
	x := &proxies{listed: len(listed), servers: make([]*server, 0, len(listed)+len(ofRules))}
	kept := old.byPlace()
	for i, s := range slices.Concat(listed, ofRules) {
		x.resolves = x.resolves || s.ResolveIP && i < x.listed
		srv := kept.take(i, &s)
		if srv == nil {
			for _, from := range s.Sources {
				if err := kernel.Bindable(from); err != nil {
					return nil, fmt.Errorf("source address %s of upstream %s: %w; it must be an address of this machine", from, s.Host, err)
				}
			}
			srv = newServer(s)
			srv.listed = true
		}
		x.servers = append(x.servers, srv)
	}
	if old != nil && slices.Equal(x.servers[:x.listed], old.servers[:old.listed]) {
		x.order, x.after = old.order, old.after
		x.chosen.Store(old.chosen.Load())
	} else {
		x.shuffle(x.listed, inOrder)
	}
	return x, nil
}

// equal reports whether two servers are the same, so that the state of one is that of the other.
func (s *Server) equal(o *Server) bool {
	return s.Type == o.Type && s.Host == o.Host && s.Port == o.Port && s.ResolveIP == o.ResolveIP && slices.Equal(s.Sources, o.Sources)
}

// keptServers are those of old proxies that no new ones have taken yet.
type keptServers struct {
	list []*server        // nil in the place of one that has been taken
	at   map[string][]int // where in list, by host:port
}

func (x *proxies) byPlace() keptServers {
	if x == nil {
		return keptServers{}
	}
	k := keptServers{list: slices.Clone(x.servers), at: map[string][]int{}}
	for i, s := range x.servers {
		k.at[s.name()] = append(k.at[s.name()], i)
	}
	return k
}

// take takes the one that is the same as s, in its place i if it is there, else the first; nil if there is none.
func (k *keptServers) take(i int, s *Server) *server {
	if i < len(k.list) && k.list[i] != nil && k.list[i].equal(s) {
		srv := k.list[i]
		k.list[i] = nil
		return srv
	}
	for _, i := range k.at[s.HostPort()] {
		if srv := k.list[i]; srv != nil && srv.equal(s) {
			k.list[i] = nil
			return srv
		}
	}
	return nil
}

// placesOf says for each server listed in old where one with the same host and port is listed here: in its place if it is
// there, else the first; -1: nowhere.
func (x *proxies) placesOf(old *proxies) []int {
	first := map[string]int{}
	for i, s := range slices.Backward(x.servers[:x.listed]) {
		first[s.name()] = i
	}
	places := make([]int, old.listed)
	for i, s := range old.servers[:old.listed] {
		places[i] = -1
		if at, found := first[s.name()]; found {
			places[i] = at
		}
		if i < x.listed && x.servers[i].name() == s.name() {
			places[i] = i
		}
	}
	return places
}

// nextServer gives out the servers that are listed in turn.
func (x *proxies) nextServer() int {
	if x.listed == 0 {
		return 0
	}
	return x.order[int(x.chosen.Add(1)-1)%x.listed]
}

// shuffle puts the n servers that are listed into the order in which they are given out.
func (x *proxies) shuffle(n int, inOrder bool) {
	x.order = rand.Perm(n)
	if inOrder {
		slices.Sort(x.order)
	}
	x.after = make([]int, n)
	for i, s := range x.order {
		x.after[s] = x.order[(i+1)%len(x.order)]
	}
}

// leadsToTarget reports whether a connection to a server, by index, leads to one target alone: it is the target's own, with
// index -1, or a SOCKS server's, which makes a tunnel to the target.
func (x *proxies) leadsToTarget(server int) bool {
	return server < 0 || x.servers[server].Type != HTTP
}
