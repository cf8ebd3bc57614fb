package journal

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"

	"proxymap/session"
)

// A Store keeps the sessions of a relay's ports in a file, in which they survive a restart. It is a relay.Store.
type Store struct {
	journal  *journal
	log      *slog.Logger
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

// Load gives a port what it had.
func (s *Store) Load(addr netip.AddrPort, slot *session.Slot, servers []string) {
	p := &keptPort{addr: addr, slot: slot, servers: servers}
	s.ports[addr] = p
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
	if len(s.records) == 0 {
		return
	}
	args := []any{"file", s.journal.name, "dropped", len(s.records)}
	if s.refused != nil {
		args = append(args, "one because", s.refused)
	}
	s.log.Warn("the state file has sessions of ports that are no longer in the settings, or that may not have them; they are dropped", args...)
	for addr := range s.records {
		s.journal.put(func() record { return record{Port: addr} }, nil)
	}
	s.records = nil
}

// Note has a change of a port written within a second.
func (s *Store) Note(ev session.Event) {
	p := s.ports[ev.Port]
	switch {
	case ev.Reason == session.ReasonRepinned: // the session is the same
	case ev.Change.New == nil && ev.Change.Old == p.slot.Last():
		return // it has expired, as its record says
	default:
		p.changes.Add(1)
	}
	s.journal.put(p.record, nil)
}

// Confirm is done when what a port has now is on disk.
func (s *Store) Confirm(addr netip.AddrPort, done func(error)) {
	p := s.ports[addr]
	now := portState{p.changes.Load(), p.slot.Last()}
	if known := p.onDisk.Load(); known != nil && *known == now {
		done(nil)
		return
	}
	s.journal.put(p.record, func(err error) {
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
