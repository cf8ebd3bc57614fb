//go:build netpoll || !linux

package poll

import (
	"errors"
	"sync"
	"time"

	errorx "github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"github.com/panjf2000/gnet/v2/pkg/queue"
)

// Poller is the portable poller. gnet's netpoll owns its loop, knows no tokens, no time-outs and no end of a
// batch. So there is a table from descriptor to token, and a turn is a task that the poller triggers for itself: a
// task runs behind all events that were found together with it, which is what closing a descriptor waits for.
type Poller struct {
	poll   *netpoll.Poller
	loop   Loop
	now    int64   // as of its last Tick
	tokens []Token // by descriptor; written and read by the loop alone
	attach netpoll.PollAttachment
	turn   queue.Func // p.takeTurn, bound once

	timer *time.Timer // triggers a turn at armed
	armed int64       // the deadline the timer is set to, 0 if none

	mu     sync.Mutex // guards closed against wake from elsewhere
	closed bool
}

// Measures says whether the poller tells the loop when it waits: this one does not know.
const Measures = false

// New makes a poller.
func New() (*Poller, error) {
	poll, err := netpoll.OpenPoller()
	if err != nil {
		return nil, err
	}
	p := &Poller{poll: poll}
	p.turn = p.takeTurn
	p.timer = time.AfterFunc(time.Hour, p.Wake)
	return p, nil
}

// Procs is 0: netpoll's waits give up their P.
func Procs(int) int { return 0 }

// Reserve has nothing to reserve.
func Reserve(int) (raw bool, release func()) { return false, func() {} }

// Add is as in poller.
func (p *Poller) Add(fd int, token Token) error {
	p.note(fd, token)
	p.attach.FD = fd
	return p.poll.AddReadWrite(&p.attach, true)
}

// AddListener is as in poller.
func (p *Poller) AddListener(fd int, token Token) error {
	p.note(fd, token)
	p.attach.FD = fd
	return p.poll.AddRead(&p.attach, false)
}

// Remove is as in poller.
func (p *Poller) Remove(fd int) error {
	p.note(fd, 0)
	return unlisten(p.poll, fd)
}

func (p *Poller) note(fd int, token Token) {
	for fd >= len(p.tokens) {
		p.tokens = append(p.tokens, make([]Token, max(64, len(p.tokens)))...)
	}
	p.tokens[fd] = token
}

// Run is as in poller.
func (p *Poller) Run(l Loop, _ bool) error {
	p.loop, p.now = l, l.Tick()
	p.settle()
	err := p.poll.Polling(func(fd int, ev netpoll.IOEvent, flags netpoll.IOFlags) error {
		p.now = l.Tick()
		if fd < len(p.tokens) {
			l.Event(p.tokens[fd], eventsOf(ev, flags))
		}
		p.settle()
		return nil
	})
	if errors.Is(err, errorx.ErrEngineShutdown) {
		return nil
	}
	return err
}

func (p *Poller) takeTurn(any) error {
	p.now = p.loop.Tick()
	if p.loop.Turn() {
		return errorx.ErrEngineShutdown
	}
	p.settle()
	return nil
}

// settle makes sure of a turn now if the loop wants one, and of one at its next deadline. The timer is left alone when
// it comes early: it only costs an empty turn.
func (p *Poller) settle() {
	next := p.loop.Deadline()
	switch {
	case next == 0:
	case next <= p.now:
		p.Wake()
	case p.armed <= p.now || p.armed > next:
		p.armed = next
		p.timer.Reset(time.Duration(next - p.now))
	}
}

// Wake is as in poller.
func (p *Poller) Wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		// It fails only when the descriptor behind it is gone, and then there is no loop to wake.
		_ = p.poll.Trigger(queue.HighPriority, p.turn, nil)
	}
}

// Close is as in poller.
func (p *Poller) Close() error {
	p.timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return p.poll.Close()
}
