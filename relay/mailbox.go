package relay

import (
	"slices"
	"sync"
)

// A mailbox is what others have for a loop: the one thing of a loop that is locked, and taken from once a turn. Unlike a
// queue of nodes it allocates nothing once it has grown.
type mailbox struct {
	mu     sync.Mutex
	parcel []parcel
	spare  []parcel // the other half of a double buffer, the loop's
	ended  bool     // nobody takes from it any more
}

// A parcel is one of three things.
type parcel struct {
	do func() // to be run on the loop

	port   *port // that a client has come to
	client arrival

	conn *conn // that another loop has given away, its descriptors with it
}

func (m *mailbox) put(p parcel) {
	m.mu.Lock()
	m.parcel = append(m.parcel, p)
	m.mu.Unlock()
}

// take returns what has come since. It is valid until the next call.
func (m *mailbox) take() []parcel {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.spare)
	m.parcel, m.spare = m.spare[:0], m.parcel
	return m.spare
}

// trim lets go of room that a burst has needed.
func (m *mailbox) trim() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parcel = slices.Clone(m.parcel)
	m.spare = nil
}

// end is the end of the mailbox if it is empty. It reports whether it was.
func (m *mailbox) end() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = len(m.parcel) == 0
	return m.ended
}

// putUnlessEnded is put, if the loop still takes what is put.
func (m *mailbox) putUnlessEnded(p parcel) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ended {
		m.parcel = append(m.parcel, p)
	}
	return !m.ended
}

// send hands p to the loop, soon. It may be called from any goroutine.
func (l *loop) send(p parcel) {
	l.mail.put(p)
	l.poll.Wake()
}

// do has f run on the loop, soon. It may be called from any goroutine.
func (l *loop) do(f func()) { l.send(parcel{do: f}) }

// ask is do for who waits for the result: it reports whether the loop will run f, or has ended.
func (l *loop) ask(f func()) bool {
	if !l.mail.putUnlessEnded(parcel{do: f}) {
		return false
	}
	l.poll.Wake()
	return true
}

// unpack takes out what a parcel holds.
func (l *loop) unpack(p parcel) {
	switch {
	case p.do != nil:
		p.do()
	case p.conn != nil:
		l.takeOver(p.conn)
	case l.draining:
		l.closeLater(p.client.fd)
		l.leave(p.client.place)
	default:
		l.adopt(p.port, p.client)
	}
}
