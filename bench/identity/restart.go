//go:build linux

package main

// Killed is called when the relay has been killed, all events that it has sent have been told, and nothing is under way.
// Of what it has done at last nothing may have been told. So sessions that were seen and have no event are newer than all
// others; which of them is newer is not known, and they share a number.
func (m *Model) Killed(now int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.ports {
		p.note(now, "the relay is killed")
		p.numbers++
		for _, u := range p.unplaced {
			m.known[u.session] = place{p.index, m.known[u.session].uses, p.numbers}
		}
		p.unplaced = nil
		p.kept.by(now)
		m.settle(p)
		m.waiting -= len(p.waiting)
		p.waiting = nil
	}
}

// Found is called behind Killed for each port, with the session that it has after the start; empty: none. It reports whether
// it could have been no other.
func (m *Model) Found(port int, session string, now int64) (sure bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, s := m.ports[port], hash(session)
	p.note(now, "after the restart the port has %s", orNone(session))
	sure = p.CallsOnly && p.answered != 0
	known, is := m.known[s]
	switch {
	case sure && s != p.answered && !(s == 0 && now > p.ends-2*int64(m.times.Grace)):
		m.violate(p, Lost, session, "it is the port's after a crash; the API had confirmed another one, and nothing has happened since")
	case s == 0:
	case is && known.port != p.index:
		m.violate(p, Shared, session, "after the restart a port has it; it is one of port "+m.ports[known.port-1].name)
		s = 0
	case is && known.number < p.kept.floor.number:
		m.violate(p, Lost, session, "it is the port's after a crash; the API had confirmed, or a second had passed since, that it is no more")
	}
	p.begin(now, s, m)
	return sure
}

// begin begins a port anew, with that session.
func (p *portModel) begin(now int64, s uint64, m *Model) {
	if s != p.last || s == 0 {
		p.ends = now + int64(p.Lifetime+m.times.Grace)
	}
	p.holds, p.last, p.answered = s, s, 0
	p.newest = Floor{number: p.numbers}
	floor := Floor{number: p.numbers + 1}
	if s != 0 {
		p.newest = floor
		p.numbers++
		m.known[s] = place{port: p.index, number: p.numbers}
	}
	p.floor, p.cut, p.late, p.kept = floor, rising{floor: floor}, rising{floor: floor}, rising{floor: floor}
}
