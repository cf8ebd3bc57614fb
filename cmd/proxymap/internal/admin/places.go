package admin

import (
	"net"
	"slices"
	"sync"
)

// places are the connections that the admin listener has at a time. None is refused: when all places are taken, the
// connection that has been idle the longest, or has sent half of a request, makes room for the next. Whose request is being
// answered is left alone. As one place is never had by such a one, a new connection always finds room, and a
// request that is answered at once, as /healthz is, always an answer.
//
// Connections that read events have no place: they stay for days, and are limited by themselves.
type places struct {
	most int // at least 2

	mu        sync.Mutex
	waiting   []net.Conn // for a request, or for the rest of one; the longest first
	answering []net.Conn
}

// enter takes a place for a new connection, and closes the one that makes room for it, if one has to.
func (p *places) enter(c net.Conn) {
	p.mu.Lock()
	var out net.Conn
	if len(p.waiting)+len(p.answering) >= p.most && len(p.waiting) > 0 {
		out = p.waiting[0]
		p.waiting = slices.Delete(p.waiting, 0, 1)
	}
	p.waiting = append(p.waiting, c)
	p.mu.Unlock()
	if out != nil {
		_ = out.Close() // it carries nothing that is missed
	}
}

// wait has a connection be the last of those that make room: it is idle from now on, or has sent the head of a request
// of which the rest is to come.
func (p *places) wait(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if remove(&p.waiting, c) || remove(&p.answering, c) {
		p.waiting = append(p.waiting, c)
	}
}

// answer keeps a connection's place while its request, which is complete, is answered. It reports whether there is such
// a place.
func (p *places) answer(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.answering) >= p.most-1 || !remove(&p.waiting, c) {
		return false
	}
	p.answering = append(p.answering, c)
	return true
}

// leave gives a connection's place back, if it has one.
func (p *places) leave(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !remove(&p.waiting, c) {
		remove(&p.answering, c)
	}
}

// remove takes c out of list, and reports whether it was there.
func remove(list *[]net.Conn, c net.Conn) bool {
	i := slices.Index(*list, c)
	if i >= 0 {
		*list = slices.Delete(*list, i, i+1)
	}
	return i >= 0
}
