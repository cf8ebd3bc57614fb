package admin

import (
	"net"
	"slices"
	"sync"
	"time"
)

// places are the connections that the admin listener has at a time. None is refused: when all places are taken, the
// connection that has been idle the longest, or has sent half of a request, makes room for the next. Whose request is being
// answered is left alone. As one place is never had by such a one, a new connection always finds room, and a
// request that is answered at once, as /healthz and /readyz are, always an answer.
//
// Connections that read events have no place: they stay for days, and are limited by themselves.
type places struct {
	most  int           // at least 2
	grace time.Duration // for which who has just come, or come back, makes no room: its request may be there already

	mu        sync.Mutex
	waiting   []net.Conn  // for a request, or for the rest of one; the longest first
	since     []time.Time // they have waited
	answering []net.Conn
}

// enter takes a place for a new connection, and closes the one that makes room for it, if one has to. It may wait for a
// place, for as long as grace.
func (p *places) enter(c net.Conn) {
	p.mu.Lock()
	var out net.Conn
	for len(p.waiting)+len(p.answering) >= p.most && len(p.waiting) > 0 {
		if left := p.grace - time.Since(p.since[0]); left > 0 {
			p.mu.Unlock()
			time.Sleep(left)
			p.mu.Lock()
			continue
		}
		out = p.waiting[0]
		p.stopWaiting(out)
	}
	p.beginWaiting(c)
	p.mu.Unlock()
	if out != nil {
		_ = out.Close() // it carries nothing that is missed
	}
}

// beginWaiting adds c to those that wait. p.mu is held.
func (p *places) beginWaiting(c net.Conn) {
	p.waiting, p.since = append(p.waiting, c), append(p.since, time.Now())
}

// stopWaiting takes c out of those that wait, and reports whether it was there. p.mu is held.
func (p *places) stopWaiting(c net.Conn) bool {
	i := slices.Index(p.waiting, c)
	if i >= 0 {
		p.waiting, p.since = slices.Delete(p.waiting, i, i+1), slices.Delete(p.since, i, i+1)
	}
	return i >= 0
}

// wait has a connection be the last of those that make room: it is idle from now on, or has sent the head of a request
// of which the rest is to come.
func (p *places) wait(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopWaiting(c) || p.stopAnswering(c) {
		p.beginWaiting(c)
	}
}

// answer keeps a connection's place while its request, which is complete, is answered. It reports whether there is such
// a place.
func (p *places) answer(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.answering) >= p.most-1 || !p.stopWaiting(c) {
		return false
	}
	p.answering = append(p.answering, c)
	return true
}

// leave gives a connection's place back, if it has one.
func (p *places) leave(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stopWaiting(c) {
		p.stopAnswering(c)
	}
}

// stopAnswering takes c out of those that are answered, and reports whether it was there. p.mu is held.
func (p *places) stopAnswering(c net.Conn) bool {
	i := slices.Index(p.answering, c)
	if i >= 0 {
		p.answering = slices.Delete(p.answering, i, i+1)
	}
	return i >= 0
}
