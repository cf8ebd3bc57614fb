package relay

import (
	"context"
	"fmt"
	"sync/atomic"
)

// A pulse is how others find out whether a loop still turns: a question in its mailbox, which only a turn takes out. There
// is one question at a time, so that a loop which hangs gathers none: who asks while one is on its way waits for that,
// because its answer comes after both.
type pulse struct {
	felt atomic.Pointer[chan struct{}] // closed by the turn that takes the question out; nil: there is no question
}

// ask returns a channel that is closed when l has worked after now, or has ended.
func (p *pulse) ask(l *loop) <-chan struct{} {
	for {
		if felt := p.felt.Load(); felt != nil {
			return *felt
		}
		felt := make(chan struct{})
		if !p.felt.CompareAndSwap(nil, &felt) {
			continue
		}
		if !l.ask(p.answer) {
			p.answer() // it has ended
		}
		return felt
	}
}

// answer runs on the loop.
func (p *pulse) answer() { close(*p.felt.Swap(nil)) }

// AwaitTurns returns nil when each event loop has taken a turn since the call, or has ended because the relay was shut down.
// The error, when ctx ends before that, names the loops that have not: they hang, or Serve has not been called. A loop
// that is idle is woken once. It may be called from any goroutine but the loops.
func (r *Relay) AwaitTurns(ctx context.Context) error {
	asked := make([]<-chan struct{}, len(r.loops))
	for i, l := range r.loops {
		asked[i] = l.pulse.ask(l)
	}
	var hang []int
	for i := range asked {
		select {
		case <-asked[i]:
			continue
		case <-ctx.Done():
		}
		select {
		case <-asked[i]: // it has turned while others were waited for
		default:
			hang = append(hang, i+1)
		}
	}
	if hang != nil {
		return fmt.Errorf("of %d event loops %v did not turn: %w", len(r.loops), hang, ctx.Err())
	}
	return nil
}
