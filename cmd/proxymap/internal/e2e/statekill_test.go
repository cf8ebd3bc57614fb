//go:build linux

package e2e

import (
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

const (
	killPorts     = 8
	killLeast     = 10 * time.Millisecond
	killMost      = 150 * time.Millisecond
	killCallers   = 8   // of 10 calls of a port's caller, that many only look
	killThinkTime = 3e6 // nanoseconds at most between two calls, so that not all are cut off
)

// A portWitness is what the clients of a port know of its sessions. One of them calls the Session API, the others send
// requests.
type portWitness struct {
	mu       sync.Mutex
	answered string          // the session that the API last answered with; empty: none
	seen     map[string]bool // sessions that anybody has seen
	replaced map[string]bool // those in whose place the API has answered that another one is, or none
	changing bool            // a call that changes the session has not been answered
}

// sends notes that a call is about to be made.
func (m *portWitness) sends(path string) (seen map[string]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changing = m.changing || path != ""
	return maps.Clone(m.seen)
}

// hears notes an answer with that session, to a call before which those of seen had been seen. It is the port's until the
// caller calls again, so all others that somebody has seen by now are older. A reset tells that only of those before it.
func (m *portWitness) hears(path, id string, seen map[string]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answered, m.changing = id, false
	if path != "reset" {
		m.seen[id] = true
		seen = m.seen
	}
	for s := range seen {
		if s != id {
			m.replaced[s] = true
		}
	}
}

func (m *portWitness) sees(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[id] = true
}

// finds checks what a port has behind a start, and reports whether it could be nothing else.
func (m *portWitness) finds(t *testing.T, port int, id string) (sure bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sure = m.answered != "" && !m.changing
	switch {
	case sure && id != m.answered:
		t.Errorf("port %d has session %s; it last answered with %s (seen %v, replaced %v)", port, id, m.answered, m.seen[id], m.replaced[id])
	case m.replaced[id]:
		t.Errorf("port %d has session %s, which was replaced; it last answered with %q", port, id, m.answered)
	}
	return sure
}

// Whenever it is killed, a start has each port go on with the session that it last answered with, or a newer one that
// only traffic had seen, and never with one that was replaced.
func TestStateOverKills(t *testing.T) {
	t.Parallel()
	rounds := shortOr(5, 50)
	r := newKeptRelay(t, t.TempDir(), killPorts)
	ports := make([]portWitness, killPorts)
	for i := range ports {
		ports[i].seen, ports[i].replaced = map[string]bool{}, map[string]bool{}
	}
	sure, calls := 0, 0
	for range rounds {
		r.start()
		for i := range ports {
			id := r.call(i, "").Header.Get("X-Session-Id")
			if ports[i].finds(t, i, id) {
				sure++
			}
			ports[i].hears("", id, nil)
		}
		if t.Failed() {
			return
		}
		calls += r.killUnderLoad(ports)
	}
	t.Logf("%d kills, %d calls answered; %d of %d times the session could be no other", rounds, calls, sure, (rounds-1)*killPorts)
	if sure == 0 {
		t.Error("no kill left a port between two calls; the test proves little")
	}
}

// killUnderLoad has all ports called and send requests, kills the process at a random moment, and returns how many calls
// were answered.
func (r *keptRelay) killUnderLoad(ports []portWitness) (calls int) {
	counts := make([]int, len(ports))
	var load sync.WaitGroup
	for i := range ports {
		load.Go(func() { counts[i] = r.callUntilKilled(i, &ports[i]) })
		load.Go(func() {
			for {
				id, err := r.traffic(i)
				if err != nil {
					return
				}
				ports[i].sees(id)
			}
		})
	}
	time.Sleep(killLeast + rand.N(killMost-killLeast))
	_ = r.cmd.Process.Kill()
	<-r.ended
	load.Wait()
	for _, n := range counts {
		calls += n
	}
	return calls
}

// callUntilKilled calls the Session API of a port, and returns how many calls were answered.
func (r *keptRelay) callUntilKilled(i int, m *portWitness) (calls int) {
	for ; ; calls++ {
		path := ""
		if rand.IntN(10) >= killCallers {
			path = []string{"new", "reset"}[rand.IntN(2)]
		}
		seen := m.sends(path)
		res, body, err := r.get(i, "http://portmapper/session/"+path)
		if err != nil {
			return calls
		}
		if res.StatusCode != 200 {
			r.t.Errorf("/session/%s of port %d: %d, %s", path, i, res.StatusCode, body)
			return calls
		}
		m.hears(path, res.Header.Get("X-Session-Id"), seen)
		time.Sleep(rand.N(time.Duration(killThinkTime)))
	}
}
