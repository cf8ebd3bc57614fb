package relay

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"proxymap/session"
)

// A Store keeps what the ports have longer than the relay runs. Its methods are called for one port in the order of its
// changes, and must not block: Note and Confirm are called on the event loops too, also while Load, SetServers or Forget, which
// come one at a time, are about other ports or about the same.
type Store interface {
	// Load is called for each port before it is served, at the start, and later when it is added while the relay runs, which
	// also is so for the address of one that Forget has been called for. It may give it the session and the pin that it had: Slot.Pin
	// takes an index in servers, which are the mapping's own as host:port. Where the slot is fixed to its server, which
	// Slot.Fixed reports, a mark of the server's account stands after that, and a session that was another server's must
	// not be restored. The slot may be kept: Slot.Last and Slot.Server say what the port has at any later moment.
	Load(port netip.AddrPort, slot *session.Slot, servers []string)

	// SetServers is called when a port goes on with other servers, or with others of the same, after its slot is pinned to one
	// of them: servers are the mapping's as in Load. A Note of the port may be under way.
	SetServers(port netip.AddrPort, servers []string)

	// Forget is called when a port is no more. What was kept of it must not come back. Note and Confirm may be called of it
	// once more, by connections that end; there is nothing to keep then, and the answer is nil.
	Forget(port netip.AddrPort)

	// Note is called after each change of a port's session, and when a port is pinned to another server because the one
	// it had did not take a connection: its reason is session.ReasonRepinned then, and its Change the zero value.
	Note(e session.Event)

	// Confirm is asked before each call of a port's Session API that went well is answered. A call that changed nothing is
	// no exception: its answer may rest on a change that traffic, or a call that still waits, has just made. It must call
	// done exactly once, from any goroutine: with nil when what was noted of the port is durable, with an error to make the
	// answer a 503 that says why. The change itself stays in force either way.
	Confirm(port netip.AddrPort, done func(error))
}

// Subscribe has f called with each change of a port's session, those of one port in their order. It is called on the
// event loops, and from other goroutines, so it must not block. Subscribe must be called before Serve; subscribers are
// called in the order in which they came.
func (r *Relay) Subscribe(f func(session.Event)) { r.subscribers = append(r.subscribers, f) }

// hasSubscribers reports whether anybody wants to hear of changes.
func (r *Relay) hasSubscribers() bool { return r.store != nil || len(r.subscribers) > 0 }

// load has the store give ports what they had.
func (r *Relay) load(ports []*port) {
	if r.store == nil {
		return
	}
	var of *mapping
	var servers []string
	for _, p := range ports {
		if m := p.mapping(); m != of {
			of, servers = m, m.keptNames()
		}
		r.store.Load(p.addr, p.slot, servers)
	}
}

// keptNames are by which a store knows the mapping's servers again. With PerPort many may have one address, and what is
// another's is its user name, which is nothing for a file; so there is a mark of it.
func (m *mapping) keptNames() []string {
	list := addressesOf(m.Servers)
	if m.PerPort {
		for i := range list {
			user, _ := m.Plan.Account(i)
			mark := sha256.Sum256([]byte(user))
			list[i] = fmt.Sprintf("%s %x", list[i], mark[:8])
		}
	}
	return list
}

// addressesOf renders servers as host:port.
func addressesOf(servers []Server) []string {
	list := make([]string, len(servers))
	for i, s := range servers {
		list[i] = net.JoinHostPort(s.Host, strconv.Itoa(int(s.Port)))
	}
	return list
}

// tell passes a change of a port's session on to the store and to those who have subscribed.
func (r *Relay) tell(p *port, change session.Change, reason string) {
	if !r.hasSubscribers() {
		return
	}
	e := session.Event{Port: p.addr, Change: change, Reason: reason, At: time.Now()}
	if r.store != nil {
		r.store.Note(e)
	}
	for _, f := range r.subscribers {
		f(e)
	}
}

// noteRepin has the store note that the port is pinned to another server.
func (r *Relay) noteRepin(p *port) {
	if r.store != nil {
		r.store.Note(session.Event{Port: p.addr, Reason: session.ReasonRepinned, At: time.Now()})
	}
}
