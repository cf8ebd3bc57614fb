package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// maxQueued is how many names wait to be looked up. Beyond it requests are refused.
	maxQueued = 1024

	// maxMissing is how many names that do not exist are remembered.
	maxMissing = 1024
)

// errManyLookups says that too many names wait to be looked up.
var errManyLookups = errors.New("too many names wait to be looked up")

// errNoAddress says that a name stands for nothing.
var errNoAddress = errors.New("the name has no address")

// lookups are a relay's look-ups of names: a few at a time, each name once for all who ask, the others in a queue. A name
// that does not exist is remembered for lookupRetry.
//
// A name whose name server is silent has a place for lookupTimeout. As long as fewer than most/lookupTimeout such names come
// in a second, the others do not wait for them. A name of which one IP version is known keeps its place for the other only
// until somebody else wants it.
type lookups struct {
	most int // at once; see Budget

	mu      sync.Mutex // taken after a server's
	byHost  map[string]*asking
	queue   []*asking
	late    []*asking // of which one IP version is known, the first to be so first
	workers int

	made    atomic.Int64
	refused atomic.Int64
}

// An asking is a name that is being looked up, or waits to be, or does not exist.
type asking struct {
	host    string
	servers []*server // to be told
	missing error     // nil: it is not known yet
	until   int64     // the loops' time until which missing is remembered

	early   []netip.Addr       // that are known while others are waited for
	hurryUp context.CancelFunc // ends that wait
}

// ask has the server's name looked up, and the server told by found. If some addresses are known already it returns them.
// An error says that nothing will be: why the name was not found a moment ago, or errManyLookups. s.mu is held.
func (k *lookups) ask(r *Relay, s *server) (early []netip.Addr, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.byHost[s.Host]
	switch {
	case a != nil && a.missing == nil:
		a.servers = append(a.servers, s)
		return a.early, nil
	case a != nil && r.clock() < a.until:
		return nil, a.missing
	case len(k.queue) >= maxQueued:
		k.refused.Add(1)
		return nil, errManyLookups
	}
	if k.byHost == nil {
		k.byHost = map[string]*asking{}
	}
	a = &asking{host: s.Host, servers: []*server{s}}
	k.byHost[s.Host] = a
	k.queue = append(k.queue, a)
	if k.workers < k.most {
		k.workers++
		go k.work(r)
	} else if len(k.late) > 0 {
		k.late[0].hurryUp()
		k.late = k.late[1:]
	}
	return nil, nil
}

// work looks up what is in the queue until that is empty.
func (k *lookups) work(r *Relay) {
	for a := k.next(); a != nil; a = k.next() {
		if !k.wanted(a) {
			continue
		}
		k.made.Add(1)
		addrs, err := k.find(r, a)
		for _, s := range k.finish(a, err, r.clock()) {
			s.found(r, addrs, err)
		}
	}
}

// find looks a name up, which takes lookupTimeout at most. If something is known early, who waits goes on with that.
func (k *lookups) find(r *Relay, a *asking) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	addrs, err := r.lookup(ctx, a.host, func(early []netip.Addr) {
		for _, s := range k.goOn(a, early, cancel) {
			s.foundEarly(r, early)
		}
	})
	if err == nil && len(addrs) == 0 {
		err = errNoAddress
	}
	return addrs, err
}

// goOn notes what is known of a name early, and returns who is to be told. The rest is not waited for if another name
// wants the place.
func (k *lookups) goOn(a *asking, early []netip.Addr, hurryUp context.CancelFunc) []*server {
	k.mu.Lock()
	defer k.mu.Unlock()
	a.early, a.hurryUp = early, hurryUp
	if len(k.queue) > 0 {
		hurryUp()
	} else {
		k.late = append(k.late, a)
	}
	return slices.Clone(a.servers)
}

func (k *lookups) next() *asking {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.queue) == 0 {
		k.queue = nil
		k.workers--
		return nil
	}
	a := k.queue[0]
	k.queue = k.queue[1:]
	return a
}

// wanted reports whether anybody still waits for a name. Connections that have gone, or whose time is over, do not.
func (k *lookups) wanted(a *asking) bool {
	k.mu.Lock()
	servers := a.servers
	a.servers = nil
	k.mu.Unlock()
	var left []*server
	for _, s := range servers {
		if s.wants() {
			left = append(left, s)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	a.servers = append(a.servers, left...) // others may have asked meanwhile
	if len(a.servers) == 0 {
		delete(k.byHost, a.host)
	}
	return len(a.servers) > 0
}

// finish ends the asking, and returns who is to be told.
func (k *lookups) finish(a *asking, err error, now int64) []*server {
	k.mu.Lock()
	defer k.mu.Unlock()
	servers := a.servers
	a.servers, a.early, a.hurryUp = nil, nil, nil
	k.late = slices.DeleteFunc(k.late, func(other *asking) bool { return other == a })
	if !isMissing(err) {
		delete(k.byHost, a.host)
		return servers
	}
	a.missing, a.until = err, now+int64(lookupRetry)
	if len(k.byHost) > maxMissing+maxQueued+k.most {
		for host, old := range k.byHost {
			if old != a && old.missing != nil {
				delete(k.byHost, host)
			}
		}
	}
	return servers
}

// isMissing reports whether err says that the name does not exist, and not that it could not be asked for.
func isMissing(err error) bool {
	var dns *net.DNSError
	return err == errNoAddress || errors.As(err, &dns) && dns.IsNotFound
}
