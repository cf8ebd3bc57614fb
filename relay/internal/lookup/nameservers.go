package lookup

import (
	"slices"
	"sync"
	"time"
)

const (
	// silence is how long a name server that timed out is asked last.
	silence = time.Minute

	// maxNameServers is how many are remembered. The system has three at most; more have come with changes of its
	// settings.
	maxNameServers = 16
)

// nameServers remembers which of the system's name servers were silent. Whoever asks them has an order of its own, which
// pick changes so that the silent ones come last.
type nameServers struct {
	mu    sync.Mutex
	known []*nameServer // in the order in which they were first asked for
}

type nameServer struct {
	addr        string
	answeredAt  time.Time // the last time
	silentUntil time.Time
}

// A round is the order in which one question goes to the name servers.
type round struct {
	asked           []string // since the question was put, or all had been asked
	network, wanted string   // of the last pick
	given           string
}

// pick is which name server is asked when it is addr's turn: addr, unless it was silent or has been asked already in
// another's place, and there is one left that was not.
func (n *nameServers) pick(r *round, network, addr string, now time.Time) string {
	if network == "tcp" && r.network == "udp" && addr == r.wanted {
		r.network = network
		return r.given // whose answer was too long for UDP
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.of(addr)
	given := n.choose(r, addr, now)
	if given == "" {
		r.asked = nil
		given = n.choose(r, addr, now)
	}
	r.asked = append(r.asked, given)
	r.network, r.wanted, r.given = network, addr, given
	return given
}

// choose is the best of those that the round has not asked: addr before the others, silent ones last. It is empty if all
// have been asked. n.mu is held.
func (n *nameServers) choose(r *round, addr string, now time.Time) (best string) {
	var bestSilent bool
	for _, s := range n.known {
		silent := now.Before(s.silentUntil)
		if slices.Contains(r.asked, s.addr) || best != "" && (silent && !bestSilent || silent == bestSilent && s.addr != addr) {
			continue
		}
		best, bestSilent = s.addr, silent
	}
	return best
}

// answered is called when a name server has answered.
func (n *nameServers) answered(addr string, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.of(addr)
	s.answeredAt, s.silentUntil = now, time.Time{}
}

// timedOut is called when a question that was sent to a name server at a time has got no answer. One that has answered
// others meanwhile is not silent: it drops such questions.
func (n *nameServers) timedOut(addr string, sent, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.of(addr); s.answeredAt.Before(sent) {
		s.silentUntil = now.Add(silence)
	}
}

// of is what is known of a name server. n.mu is held.
func (n *nameServers) of(addr string) *nameServer {
	i := slices.IndexFunc(n.known, func(s *nameServer) bool { return s.addr == addr })
	if i < 0 {
		if len(n.known) == maxNameServers {
			n.known = n.known[1:]
		}
		n.known = append(n.known, &nameServer{addr: addr})
		i = len(n.known) - 1
	}
	return n.known[i]
}
