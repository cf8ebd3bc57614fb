package relay

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"proxymap/relay/refusal"
)

// What is counted is written by the loops and read from anywhere, at any moment, so all of it is atomic. Nothing is
// written by two loops: an addition to what no other processor writes costs a few nanoseconds. Sums are made on reading.
//
// Bytes are counted where they enter and leave upstream sockets (socket.go), whatever for, and so each of them once.

// A flow is what has gone over upstream connections, as far as the kernel has taken or given it.
type flow struct {
	read atomic.Int64
	sent atomic.Int64
}

// The ways upstream, as indexes.
const (
	byProxy  = iota // through an upstream proxy
	byBypass        // straight to the target
	numWays
)

// A tally is what one loop has counted of one port. It is made when the loop gets the port's first connection, so ports
// at rest cost nothing, and fills a cache line, so that loops do not disturb each other.
type tally struct {
	next        *tally // of the same port, another loop's
	loop        *loop
	connections atomic.Int64 // since the start
	requests    atomic.Int64
	ways        [numWays]flow
}

// tallyOf is the loop's tally of a port.
func (l *loop) tallyOf(p *port) *tally {
	for {
		first := p.tallies.Load()
		for t := first; t != nil; t = t.next {
			if t.loop == l {
				return t
			}
		}
		if t := (&tally{next: first, loop: l}); p.tallies.CompareAndSwap(first, t) {
			return t
		}
	}
}

// way counts the bytes of connections upstream, to targets themselves or to servers.
func (t *tally) way(direct bool) *flow {
	if direct {
		return &t.ways[byBypass]
	}
	return &t.ways[byProxy]
}

// recount has the loop that has taken the connection over count for it.
func (c *conn) recount() {
	c.tally = c.l.tallyOf(c.port)
	if c.host != nil {
		c.host = c.l.hosts.of([]byte(c.host.name))
	}
	if c.upstream.fd >= 0 {
		c.upstream.flow, c.upstream.host = c.tally.way(c.server < 0), c.host
	}
}

// A count is something that is counted for the whole relay.
type count uint8

const (
	authNotRequired count = iota
	authRequired
	authenticated
	authInvalid
	httpRejected
	headerFailed
	noHost
	hostRejected
	hostProxified
	hostBypassed
	proxyConnected
	proxyFailed
	bypassConnected
	bypassFailed
	addressRejected
	headerRejected
	panics
	numCounts
)

func (l *loop) count(what count) { l.counts[what].Add(1) }

// answers counts a port's answers of our own by class. It is made at the port's first one: most ports never have any.
// All loops share it, for an answer costs a thousand times what an addition does at worst.
type answers [len(refusal.Classes)]atomic.Int64

func (p *port) countAnswer(class string) {
	i := slices.Index(refusal.Classes[:], class)
	if i < 0 {
		return // an answer of the API's that is no error
	}
	a := p.answers.Load()
	if a == nil {
		p.answers.CompareAndSwap(nil, new(answers))
		a = p.answers.Load()
	}
	a[i].Add(1)
}

// Stats are a relay's counters at one moment, since its start or the last ResetStats. They are exact as soon as the
// traffic rests.
type Stats struct {
	Traffic // of all ports, those that are no more included

	// Requests, by what became of them, in the order in which that is found out.

	AuthenticationNotRequired int64 // the port asks for no credentials
	AuthenticationRequired    int64 // it does, and there were none
	Authenticated             int64
	AuthenticationInvalid     int64
	HTTPRejected              int64 // plain requests where only CONNECT is allowed
	HeaderFailed              int64 // heads that were malformed, or not complete in time
	NoHost                    int64 // a request-target without a host, and not for the Session API
	HostRejected              int64 // denied by the host rules
	HostProxified             int64 // sent on through an upstream proxy
	HostBypassed              int64 // sent on straight to the target

	// Connections upstream: a request that finds one in use needs none, and one that fails over has one that connects.

	ProxyConnected  int64
	ProxyFailed     int64 // requests for which no upstream proxy could be reached
	BypassConnected int64
	BypassFailed    int64 // requests whose target could not be reached

	// Connections of clients that were closed without an answer.

	AddressRejected int64 // unread, for their address may not connect
	HeaderRejected  int64 // for want of a PROXY header as it should be; they are among Connections too

	LookUps        int64 // of names, that have been made
	LookUpsRefused int64 // because too many others were waiting

	Panics int64 // each of which has ended a connection; please report them

	OddResponses map[string]int64 // by what is odd in them, which passed all the same; nil: none

	Mappings []MappingStats // those of this moment, in the order of Config
	Ports    []PortStats    // those of this moment, in the order of Relay.Ports
}

// Traffic is what is counted of a port, or of several.
type Traffic struct {
	Connections int64 // of clients, accepted
	Open        int64 // of these, now: not since a moment
	Requests    int64 // complete heads, and what SOCKS clients asked for

	ProxyRead  int64 // bytes read from upstream proxies
	ProxySent  int64 // bytes sent to them
	BypassRead int64 // bytes read from targets that were dialled here
	BypassSent int64 // bytes sent to them

	Answers map[string]int64 // the relay's own, of errors, by X-Proxymap-Error; nil: none
}

// MappingStats are of the ports of one mapping.
type MappingStats struct {
	Address     netip.Addr
	First, Last uint16 // Config's; where that leaves the port to the system, the one that the system has chosen
	Traffic
}

// PortStats are of one port. What was counted of one that has been taken out goes on when there is one at its address again.
type PortStats struct {
	Port    netip.AddrPort
	Mapping int // its index in Stats.Mappings
	Traffic
}

// baseline is what the counters were at the last reset.
type baseline struct {
	mu    sync.Mutex
	stats *Stats // nil: there was none
	ports map[netip.AddrPort]Traffic
}

// Stats returns what has been counted. It may be called from any goroutine and disturbs no loop.
func (r *Relay) Stats() Stats {
	r.baseline.mu.Lock()
	defer r.baseline.mu.Unlock()
	s := r.collect()
	if r.baseline.stats != nil {
		s.subtract(&r.baseline)
	}
	for i := range s.Ports {
		p := &s.Ports[i]
		s.Mappings[p.Mapping].add(&p.Traffic, 1)
	}
	return s
}

// Requests is how many requests clients have made since the start, whatever has been reset. Unlike Stats it is cheap.
func (r *Relay) Requests() (n int64) {
	for _, l := range r.loops {
		for _, what := range [...]count{authNotRequired, authRequired, authenticated, authInvalid} {
			n += l.counts[what].Load()
		}
	}
	return n
}

// ResetStats has all counting begin anew from 0. The loops count on as before; what they had is subtracted from here on.
func (r *Relay) ResetStats() {
	r.baseline.mu.Lock()
	defer r.baseline.mu.Unlock()
	s := r.collect()
	r.baseline.stats, r.baseline.ports = &s, make(map[netip.AddrPort]Traffic, len(s.Ports))
	for i := range s.Ports {
		r.baseline.ports[s.Ports[i].Port] = s.Ports[i].Traffic
	}
	s.Ports, s.Mappings = nil, nil // nobody reads them again
	for _, l := range r.loops {
		l.hosts.reset()
	}
}

// collect reads the counters of the loops and the ports.
func (r *Relay) collect() Stats {
	has := r.table.Load()
	s := Stats{Mappings: make([]MappingStats, len(has.mappings)), Ports: make([]PortStats, len(has.ports))}
	for i, total := range s.counts() {
		for _, l := range r.loops {
			*total += l.counts[i].Load()
		}
	}
	for _, l := range r.loops {
		l.odd.addTo(&s)
	}
	s.LookUps, s.LookUpsRefused = r.lookups.made.Load(), r.lookups.refused.Load()
	for i, m := range has.mappings {
		s.Mappings[i] = MappingStats{Address: m.Address, First: m.First, Last: m.Last}
	}
	past := has.past()
	for _, t := range past {
		s.add(&t, 1)
	}
	for i, p := range has.ports {
		t := p.traffic()
		s.add(&t, 1)
		if before, there := past[p.addr]; there {
			t.add(&before, 1)
		}
		s.Ports[i] = PortStats{Port: p.addr, Mapping: has.of[i], Traffic: t}
		if m := &s.Mappings[has.of[i]]; m.First == 0 {
			m.First, m.Last = p.addr.Port(), p.addr.Port()
		}
	}
	return s
}

// past is what is counted of ports that have been taken out, by their address.
func (t *portTable) past() map[netip.AddrPort]Traffic {
	if len(t.leaving) == 0 {
		return t.gone
	}
	past := maps.Clone(t.gone)
	if past == nil {
		past = map[netip.AddrPort]Traffic{}
	}
	for _, p := range t.leaving {
		sum := p.traffic()
		if before, there := past[p.addr]; there {
			sum.add(&before, 1)
		}
		past[p.addr] = sum
	}
	return past
}

// traffic sums up what the loops have counted of the port.
func (p *port) traffic() Traffic {
	t := Traffic{Open: int64(p.open.Load())}
	for n := p.tallies.Load(); n != nil; n = n.next {
		proxy, bypass := &n.ways[byProxy], &n.ways[byBypass]
		t.add(&Traffic{
			Connections: n.connections.Load(), Requests: n.requests.Load(),
			ProxyRead: proxy.read.Load(), ProxySent: proxy.sent.Load(),
			BypassRead: bypass.read.Load(), BypassSent: bypass.sent.Load(),
		}, 1)
	}
	if a := p.answers.Load(); a != nil {
		t.Answers = map[string]int64{}
		for i := range a {
			if n := a[i].Load(); n > 0 {
				t.Answers[refusal.Classes[i]] = n
			}
		}
	}
	return t
}

// counts are the fields that loops count, by count.
func (s *Stats) counts() [numCounts]*int64 {
	return [numCounts]*int64{
		authNotRequired: &s.AuthenticationNotRequired, authRequired: &s.AuthenticationRequired,
		authenticated: &s.Authenticated, authInvalid: &s.AuthenticationInvalid,
		httpRejected: &s.HTTPRejected, headerFailed: &s.HeaderFailed, noHost: &s.NoHost,
		hostRejected: &s.HostRejected, hostProxified: &s.HostProxified, hostBypassed: &s.HostBypassed,
		proxyConnected: &s.ProxyConnected, proxyFailed: &s.ProxyFailed,
		bypassConnected: &s.BypassConnected, bypassFailed: &s.BypassFailed,
		addressRejected: &s.AddressRejected, headerRejected: &s.HeaderRejected,
		panics: &s.Panics,
	}
}

// subtract takes away what was counted before.
func (s *Stats) subtract(base *baseline) {
	before := base.stats
	had := before.counts()
	for i, n := range s.counts() {
		*n -= *had[i]
	}
	for kind, n := range before.OddResponses {
		s.addOdd(kind, -n)
	}
	s.LookUps -= before.LookUps
	s.LookUpsRefused -= before.LookUpsRefused
	s.since(&before.Traffic)
	for i := range s.Ports {
		if t, there := base.ports[s.Ports[i].Port]; there {
			s.Ports[i].since(&t)
		}
	}
}

// since takes away what was counted before. What is open stays.
func (t *Traffic) since(before *Traffic) {
	open := t.Open
	t.add(before, -1)
	t.Open = open
}

// add adds other so many times.
func (t *Traffic) add(other *Traffic, times int64) {
	t.Connections += times * other.Connections
	t.Open += times * other.Open
	t.Requests += times * other.Requests
	t.ProxyRead += times * other.ProxyRead
	t.ProxySent += times * other.ProxySent
	t.BypassRead += times * other.BypassRead
	t.BypassSent += times * other.BypassSent
	for class, n := range other.Answers {
		if t.Answers == nil {
			t.Answers = map[string]int64{}
		}
		if t.Answers[class] += times * n; t.Answers[class] == 0 {
			delete(t.Answers, class)
		}
	}
	if len(t.Answers) == 0 {
		t.Answers = nil
	}
}
