//go:build netpoll || !linux

package relay

import (
	"errors"
	"sync"
	"time"

	errorx "github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"github.com/panjf2000/gnet/v2/pkg/queue"
)

// netpollPoller is the portable poller. gnet's netpoll owns its loop, knows no tokens, no time-outs and no end of a
// batch. So there is a table from descriptor to token, and a turn is a task that the poller triggers for itself: a
// task runs behind all events that were found together with it, which is what closing a descriptor waits for.
type netpollPoller struct {
	poll   *netpoll.Poller
	loop   *loop
	tokens []uint64 // by descriptor; written and read by the loop alone
	attach netpoll.PollAttachment
	turn   queue.Func // p.takeTurn, bound once

	timer *time.Timer // triggers a turn at armed
	armed int64       // the deadline the timer is set to, 0 if none

	mu     sync.Mutex // guards closed against wake from elsewhere
	closed bool
}

// gathers says that connections are spread evenly: this poller does not tell how long it has waited.
const gathers = false

func newPoller() (poller, error) {
	poll, err := netpoll.OpenPoller()
	if err != nil {
		return nil, err
	}
	p := &netpollPoller{poll: poll}
	p.turn = p.takeTurn
	p.timer = time.AfterFunc(time.Hour, p.wake)
	return p, nil
}

// reserveProcs has nothing to do here: netpoll's waits give up their P.
func reserveProcs(int) (release func()) { return func() {} }

func (p *netpollPoller) add(fd int, token uint64) error {
	p.note(fd, token)
	p.attach.FD = fd
	return p.poll.AddReadWrite(&p.attach, true)
}

func (p *netpollPoller) listen(fd int, token uint64) error {
	p.note(fd, token)
	p.attach.FD = fd
	return p.poll.AddRead(&p.attach, false)
}

func (p *netpollPoller) remove(fd int) error {
	p.note(fd, 0)
	return unlisten(p.poll, fd)
}

func (p *netpollPoller) note(fd int, token uint64) {
	for fd >= len(p.tokens) {
		p.tokens = append(p.tokens, make([]uint64, max(64, len(p.tokens)))...)
	}
	p.tokens[fd] = token
}

func (p *netpollPoller) run(l *loop) error {
	p.loop = l
	p.settle()
	err := p.poll.Polling(func(fd int, ev netpoll.IOEvent, flags netpoll.IOFlags) error {
		l.tick()
		if fd < len(p.tokens) {
			l.event(p.tokens[fd], eventsOf(ev, flags))
		}
		p.settle()
		return nil
	})
	if errors.Is(err, errorx.ErrEngineShutdown) {
		return nil
	}
	return err
}

func (p *netpollPoller) takeTurn(any) error {
	p.loop.tick()
	if p.loop.turn() {
		return errorx.ErrEngineShutdown
	}
	p.settle()
	return nil
}

// settle makes sure of a turn now if the loop wants one, and of one at its next deadline. The timer is left alone when
// it comes early: it only costs an empty turn.
func (p *netpollPoller) settle() {
	if p.loop.wantsTurn() {
		p.wake()
		return
	}
	next := p.loop.nextDeadline()
	if next == 0 || p.armed != 0 && p.armed <= next && p.armed > p.loop.now {
		return
	}
	p.armed = next
	p.timer.Reset(time.Duration(next - p.loop.now))
}

func (p *netpollPoller) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		// It fails only when the descriptor behind it is gone, and then there is no loop to wake.
		_ = p.poll.Trigger(queue.HighPriority, p.turn, nil)
	}
}

func (p *netpollPoller) close() error {
	p.timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return p.poll.Close()
}
