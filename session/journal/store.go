package journal

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"proxymap/session"
)

// A Store keeps the sessions of a relay's ports in a file, in which they survive a restart. It is a relay.Store.
type Store struct {
	journal  *journal
	log      *slog.Logger
	records  map[netip.AddrPort]record // that no port has taken; nil: all have been loaded that there were at the start
	restored int
	refused  error // why a port could not take its record; the last one's

	mu    sync.RWMutex // of ports, which come and go while others are noted; held for no longer than a look takes
	ports map[netip.AddrPort]*keptPort
}

// A keptPort is a port and what is known to be on disk of it.
type keptPort struct {
	addr    netip.AddrPort
	slot    *session.Slot
	servers atomic.Pointer[[]string] // host:port
	changes atomic.Int64
	onDisk  atomic.Pointer[portState] // nil: nothing is known
}

// A portState is what a port has at some moment. The session alone would not tell one without a session from the next,
// and of the count a change is told a moment later than it is seen.
type portState struct {
	changes int64
	session *session.Session
}

// Open opens a file that keeps sessions, or makes one, and locks it until Close. A damaged file is set aside, and does not
// keep it from being opened. The error names the file, and says what to do. log gets what an operator should know; it is
// called from other goroutines, too, and must not be nil.
func Open(file string, log *slog.Logger) (*Store, error) {
	j, records, err := openJournal(file, log)
	if err != nil {
		return nil, err
	}
	return newStore(j, records), nil
}

func newStore(j *journal, records []record) *Store {
	s := &Store{journal: j, log: j.log, records: make(map[netip.AddrPort]record, len(records)), ports: make(map[netip.AddrPort]*keptPort)}
	for _, r := range records {
		s.records[r.Port] = r
	}
	return s
}

// Close writes what has not been written yet, and gives the file back. It is called when the relay has ended, and may be
// called again. The error is of that writing.
func (s *Store) Close() error { return s.journal.close() }

// errMoved is why a session is not restored for a port that has one server for good.
var errMoved = errors.New("the port has another upstream server than the session was made with")

// Load gives a port what it had. Once Loaded has been called a port has nothing: it is one that has been added, and what is
// on disk of its address was another's.
func (s *Store) Load(addr netip.AddrPort, slot *session.Slot, servers []string) {
	p := &keptPort{addr: addr, slot: slot}
	p.servers.Store(&servers)
	s.mu.Lock()
	s.ports[addr] = p
	s.mu.Unlock()
	if s.records == nil {
		return
	}
	r, there := s.records[addr]
	if !there {
		p.onDisk.Store(&portState{})
		return
	}
	kept, err := r.session(slot.Plan())
	if err == nil && slot.Fixed() && servers[slot.Server()] != r.Server {
		err = errMoved
	}
	if err != nil {
		s.refused = err
		return
	}
	slot.Restore(kept)
	p.pin(r.Server)
	p.onDisk.Store(&portState{session: kept})
	delete(s.records, addr)
	s.restored++
}

// Loaded is called once, when all ports have been loaded. Records that none of them has taken are dropped: should their
// ports come back one day, others may have had the sessions since.
func (s *Store) Loaded() {
	s.log.Info("sessions are kept", "file", s.journal.name, "restored", s.restored)
	left := s.records
	if s.records = nil; len(left) == 0 {
		return
	}
	args := []any{"file", s.journal.name, "dropped", len(left)}
	if s.refused != nil {
		args = append(args, "one because", s.refused)
	}
	s.log.Warn("the state file has sessions of ports that are no longer in the settings, or that may not have them; they are dropped", args...)
	for addr := range left {
		s.journal.put(func() record { return record{Port: addr} }, nil)
	}
}

// Forget has what is kept of a port dropped within a second, and with the next compaction its last line. What comes of the
// port later, as its connections end, is not kept.
func (s *Store) Forget(addr netip.AddrPort) {
	s.mu.Lock()
	delete(s.ports, addr)
	s.mu.Unlock()
	s.write(addr, nil)
}

// SetServers has a port know its servers by other names, and the one that it is pinned to written within a second.
func (s *Store) SetServers(addr netip.AddrPort, servers []string) {
	if p := s.port(addr); p != nil {
		p.servers.Store(&servers)
		s.write(addr, nil)
	}
}

// port is the one with that address, nil if there is none.
func (s *Store) port(addr netip.AddrPort) *keptPort {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.ports[addr]
}

// write has what the port has by then written. A port is looked for when its record is made, so that a late word of one that
// is forgotten writes nothing of it, and nothing over what another at its address has.
func (s *Store) write(addr netip.AddrPort, done func(error)) {
	s.journal.put(func() record {
		if p := s.port(addr); p != nil {
			return p.record()
		}
		return record{Port: addr}
	}, done)
}

// Note has a change of a port written within a second.
func (s *Store) Note(ev session.Event) {
	p := s.port(ev.Port)
	switch {
	case p == nil: // it is forgotten
		return
	case ev.Reason == session.ReasonRepinned: // the session is the same
	case ev.Change.New == nil && ev.Change.Old == p.slot.Last():
		return // it has expired, as its record says
	default:
		p.changes.Add(1)
	}
	s.write(ev.Port, nil)
}

// Confirm is done when what a port has now is on disk. Of one that is forgotten nothing is to be there.
func (s *Store) Confirm(addr netip.AddrPort, done func(error)) {
	p := s.port(addr)
	if p == nil {
		done(nil)
		return
	}
	now := portState{p.changes.Load(), p.slot.Last()}
	if known := p.onDisk.Load(); known != nil && *known == now {
		done(nil)
		return
	}
	s.write(addr, func(err error) {
		if err == nil {
			p.onDisk.Store(&now)
		}
		done(err)
	})
}

// record is of what the port has now.
func (p *keptPort) record() record {
	server, servers := "", *p.servers.Load()
	if i := p.slot.Server(); i < len(servers) {
		server = servers[i]
	}
	return recordOf(p.addr, p.slot.Last(), server)
}

// pin finds a server again. Several may have one address, each with an account of its own; if the port's is one of them
// it stays, for unchanged settings pin it as they did before. A server that has gone leaves the port where it is.
func (p *keptPort) pin(server string) {
	servers := *p.servers.Load()
	if i := p.slot.Server(); i < len(servers) && servers[i] == server {
		return
	}
	if i := slices.Index(servers, server); i >= 0 {
		p.slot.Pin(i)
	}
}
