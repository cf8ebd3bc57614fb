package main

import (
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"

	"proxymap/relay"
	"proxymap/session"
)

// A keeper stands between a relay and the journal in which its ports' sessions survive a restart.
type keeper struct {
	journal  *journal
	records  map[netip.AddrPort]record // that no port has taken
	ports    map[netip.AddrPort]*keptPort
	restored int
	refused  error // why a port could not take its record; the last one's
}

// A keptPort is a port and what is known to be on disk of it.
type keptPort struct {
	addr    netip.AddrPort
	slot    *session.Slot
	servers []string // host:port
	changes atomic.Int64
	onDisk  atomic.Pointer[portState] // nil: nothing is known
}

// A portState is what a port has at some moment. The session alone would not tell one without a session from the next,
// and of the count a change is told a moment later than it is seen.
type portState struct {
	changes int64
	session *session.Session
}

// listenKept is relay.Listen with the sessions that a file keeps; without a name there is none. end writes what has not
// been written yet, and is called when the relay has ended.
func listenKept(cfg relay.Config, file string, log *slog.Logger) (r *relay.Relay, end func() error, err error) {
	if file == "" {
		r, err = relay.Listen(cfg)
		return r, func() error { return nil }, err
	}
	j, records, err := openJournal(file, log)
	if err != nil {
		return nil, nil, err
	}
	k := newKeeper(j, records)
	cfg.Store = k
	if r, err = relay.Listen(cfg); err != nil {
		_ = j.close() // nothing was put into it
		return nil, nil, err
	}
	log.Info("sessions are kept", "file", file, "restored", k.restored)
	k.drop(log)
	return r, j.close, nil
}

func newKeeper(j *journal, records []record) *keeper {
	k := &keeper{journal: j, records: make(map[netip.AddrPort]record, len(records)), ports: make(map[netip.AddrPort]*keptPort)}
	for _, r := range records {
		k.records[r.Port] = r
	}
	return k
}

// Load gives a port what it had.
func (k *keeper) Load(addr netip.AddrPort, slot *session.Slot, servers []string) {
	p := &keptPort{addr: addr, slot: slot, servers: servers}
	k.ports[addr] = p
	r, there := k.records[addr]
	if !there {
		p.onDisk.Store(&portState{})
		return
	}
	s, err := r.session(slot.Plan())
	if err != nil {
		k.refused = err
		return
	}
	slot.Restore(s)
	p.pin(r.Server)
	p.onDisk.Store(&portState{session: s})
	delete(k.records, addr)
	k.restored++
}

// drop has the records that no port has taken forgotten: should their ports come back one day, others may have had the
// sessions since.
func (k *keeper) drop(log *slog.Logger) {
	if len(k.records) == 0 {
		return
	}
	args := []any{"file", k.journal.name, "dropped", len(k.records)}
	if k.refused != nil {
		args = append(args, "one because", k.refused)
	}
	log.Warn("State.File has sessions of ports that are no longer in the settings, or that may not have them; they are dropped", args...)
	for addr := range k.records {
		k.journal.put(func() record { return record{Port: addr} }, nil)
	}
	k.records = nil
}

// Note has a change of a port written within a second.
func (k *keeper) Note(ev session.Event) {
	p := k.ports[ev.Port]
	switch {
	case ev.Reason == session.ReasonRepinned: // the session is the same
	case ev.Change.New == nil && ev.Change.Old == p.slot.Last():
		return // it has expired, as its record says
	default:
		p.changes.Add(1)
	}
	k.journal.put(p.record, nil)
}

// Confirm is done when what a port has now is on disk.
func (k *keeper) Confirm(addr netip.AddrPort, done func(error)) {
	p := k.ports[addr]
	now := portState{p.changes.Load(), p.slot.Last()}
	if known := p.onDisk.Load(); known != nil && *known == now {
		done(nil)
		return
	}
	k.journal.put(p.record, func(err error) {
		if err == nil {
			p.onDisk.Store(&now)
		}
		done(err)
	})
}

// record is of what the port has now.
func (p *keptPort) record() record {
	server := ""
	if i := p.slot.Server(); i < len(p.servers) {
		server = p.servers[i]
	}
	return recordOf(p.addr, p.slot.Last(), server)
}

// pin finds a server again. Several may have one address, each with an account of its own; if the port's is one of them
// it stays, for unchanged settings pin it as they did before. A server that has gone leaves the port where it is.
func (p *keptPort) pin(server string) {
	if i := p.slot.Server(); i < len(p.servers) && p.servers[i] == server {
		return
	}
	if i := slices.Index(p.servers, server); i >= 0 {
		p.slot.Pin(i)
	}
}
