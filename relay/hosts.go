package relay

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// maxHosts is how many hosts are counted each by itself. It bounds memory: a scraper may ask for millions.
	maxHosts = 1000

	// maxHostName is the longest name that is; DNS has no longer ones.
	maxHostName = 255
)

// A hostTally is what one loop has counted of a host.
type hostTally struct {
	name  string
	other *hostTally // that counts in its place from now on: it was too little used. The loop's alone; nil: none
	flow
	ways [numWays]atomic.Int64 // requests
}

// hosts are a loop's. The loop looks hosts up without a lock, for it alone puts them in and takes them out, which it does
// with the lock held: so does who reads them.
type hosts struct {
	mu     sync.Mutex
	byName map[string]*hostTally // nil: nothing is counted
	other  *hostTally
}

func newHosts() hosts {
	return hosts{byName: map[string]*hostTally{}, other: &hostTally{}}
}

// counted is the tally that counts for h now.
func (h *hostTally) counted() *hostTally {
	if h.other != nil {
		return h.other
	}
	return h
}

// of is the tally of a host. What has no name is other.
func (h *hosts) of(host []byte) *hostTally {
	if len(host) == 0 || len(host) > maxHostName {
		return h.other
	}
	var scratch [maxHostName]byte
	name := scratch[:0]
	for _, b := range host {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		name = append(name, b)
	}
	if t := h.byName[string(name)]; t != nil {
		return t
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.byName) == maxHosts {
		h.makeRoom()
	}
	t := &hostTally{name: string(name)}
	h.byName[t.name] = t
	return t
}

// makeRoom has the quarter of the hosts that is least used count as other. h.mu is held.
func (h *hosts) makeRoom() {
	list := make([]HostStats, 0, len(h.byName))
	for _, t := range h.byName {
		list = append(list, t.stats())
	}
	sortHosts(list)
	for _, s := range list[len(list)*3/4:] {
		t := h.byName[s.Host]
		delete(h.byName, s.Host)
		t.other = h.other
		t.moveTo(h.other)
	}
}

// moveTo moves what was counted.
func (h *hostTally) moveTo(to *hostTally) {
	to.flow.read.Add(h.flow.read.Swap(0))
	to.sent.Add(h.sent.Swap(0))
	for i := range h.ways {
		to.ways[i].Add(h.ways[i].Swap(0))
	}
}

func (h *hostTally) stats() HostStats {
	return HostStats{
		Host: h.name, Proxified: h.ways[byProxy].Load(), Bypassed: h.ways[byBypass].Load(),
		Read: h.flow.read.Load(), Sent: h.sent.Load(),
	}
}

// reset has all begin anew from 0. Hosts that are not asked for again are the next to make room.
func (h *hosts) reset() {
	if h.byName == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var nowhere hostTally
	h.other.moveTo(&nowhere)
	for _, t := range h.byName {
		t.moveTo(&nowhere)
	}
}

// HostStats are of the requests for one host.
type HostStats struct {
	Host      string // in lower case, without port
	Proxified int64  // requests that went through an upstream proxy
	Bypassed  int64  // requests that went straight there
	Read      int64  // bytes read from upstream
	Sent      int64  // bytes sent upstream
}

func (s *HostStats) add(other *HostStats) {
	s.Proxified += other.Proxified
	s.Bypassed += other.Bypassed
	s.Read += other.Read
	s.Sent += other.Sent
}

func (s *HostStats) requests() int64 { return s.Proxified + s.Bypassed }

// sortHosts puts the most used first: the most asked for, then those with the most bytes.
func sortHosts(list []HostStats) {
	slices.SortFunc(list, func(a, b HostStats) int {
		return cmp.Or(cmp.Compare(b.requests(), a.requests()), cmp.Compare(b.Read+b.Sent, a.Read+a.Sent), cmp.Compare(a.Host, b.Host))
	})
}

// HostStats returns the hosts, the most used first and at most 1,000, and what was counted of all others together. They
// count since the start or the last ResetStats, and only with Config.HostStats. It may be called from any goroutine.
func (r *Relay) HostStats() (list []HostStats, other HostStats) {
	byName := map[string]*HostStats{}
	for _, l := range r.loops {
		l.hosts.mergeInto(byName, &other)
	}
	for _, s := range byName {
		list = append(list, *s)
	}
	sortHosts(list)
	for len(list) > maxHosts {
		other.add(&list[len(list)-1])
		list = list[:len(list)-1]
	}
	return list, other
}

// mergeInto adds a loop's hosts to those of others.
func (h *hosts) mergeInto(byName map[string]*HostStats, other *HostStats) {
	if h.byName == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	rest := h.other.stats()
	other.add(&rest)
	for name, t := range h.byName {
		s := t.stats()
		if s == (HostStats{Host: name}) {
			continue // nothing since the last reset
		}
		if byName[name] == nil {
			byName[name] = &HostStats{Host: name}
		}
		byName[name].add(&s)
	}
}
