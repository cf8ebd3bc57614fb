package relay

import (
	"slices"
	"sync/atomic"

	"proxymap/relay/internal/kernel"
	"proxymap/relay/internal/poll"
)

// To close a socket by a reset takes the kernel some 10 us on loopback, most of what it takes to cut a connection: the reset
// goes all the way into the peer's socket within the call. Tunnels gather on one loop, so where a rotation cuts
// thousands of them that loop has other loops close most of their descriptors, those that have nothing to cut themselves.
//
// Nobody knows these descriptors by then. Their connections have closed, the loop takes any event that still comes for one
// for stale, by its generation, and epoll forgets a descriptor when it is closed, whoever does that. The portable poller
// knows descriptors by their numbers alone, so there each loop closes its own.
//
// What has been given away counts as a part of the errand, and its places as taken, until it is closed: what a socket has
// taken may leave for its peer until then.

const (
	// leastShare is how many descriptors are worth the message to another loop.
	leastShare = 32

	// mostShares is how many shares wait for one loop at most: while it closes one there is another.
	mostShares = 2
)

// helper is a loop's part in that.
type helper struct {
	shares  atomic.Int32 // of other loops' descriptors, that wait for this one
	cutting atomic.Bool  // it has cut connections itself, and is not through with the errand
}

// free reports whether the loop has time to close others' descriptors.
func (h *helper) free() bool { return !h.cutting.Load() && h.shares.Load() < mostShares }

// A share is descriptors that a loop has to close for an errand, and another loop closes.
type share struct {
	errand *errand
	relay  *Relay
	fds    []int
}

// share gives two thirds of the descriptors that the loop has to close at this turn to loops that are free, and returns
// those that are left. It has done its part of the work in cutting the connections. One that drains has its listeners
// among the descriptors, which have no generation.
func (k *walk) share(l *loop, fds []int) []int {
	if k.errand == nil || !poll.Measures || l.draining || len(fds) < leastShare {
		return fds
	}
	var free []*loop
	for _, o := range l.relay.loops {
		if o != l && o.helper.free() && o.load.Load() < busyLoad {
			free = append(free, o)
		}
	}
	each := len(fds) * 2 / max(2*len(free)+1, 3)
	for _, o := range free {
		s := share{k.errand, l.relay, slices.Clone(fds[:each])}
		if s.giveTo(o) {
			fds = fds[each:]
		}
	}
	return fds
}

// giveTo has a loop close the descriptors. It reports whether it will: it may have ended.
func (s share) giveTo(o *loop) bool {
	s.begin(o)
	taken := o.ask(func() {
		closeAll(s.fds)
		s.end(o)
		s.relay.finish(s.errand)
	})
	if !taken {
		s.end(o)
		s.errand.left.Add(-1)
	}
	return taken
}

func (s share) begin(o *loop) {
	s.errand.left.Add(1)
	s.relay.admission.served.Add(int32(len(s.fds) / 2))
	o.helper.shares.Add(1)
}

func (s share) end(o *loop) {
	s.relay.admission.served.Add(-int32(len(s.fds) / 2))
	o.helper.shares.Add(-1)
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = kernel.Close(fd) // what can fail here is only the last write, which no one waits for
	}
}
