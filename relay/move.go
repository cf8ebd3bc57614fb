package relay

import (
	"io"

	"proxymap/relay/internal/kernel"
)

// An outcome is why a move has paused.
type outcome uint8

const (
	moving      outcome = iota // it has not
	drained                    // the source has nothing more now
	sinkFull                   // the sink takes no more now; what it has not taken is kept
	budgetSpent                // there may be more of everything, after others have had their turn
	complete                   // the framing has ended, and the sink has taken all of it
	sourceEnded                // the source's FIN has come, and the sink has taken all that came before it
	sourceReset                // the source has been reset, or has failed in another way
	sinkBroken                 // the sink has been reset, or has failed in another way
	malformed                  // what has come breaks the framing, which says why: nothing of it has been passed on
)

// move moves bytes from source to sink until something ends that or has it pause, and returns what. Bytes are life: alive
// reports whether the sink has taken any that were kept, or the source has given any.
//
// The framing f says how far they go; it is nil for a tunnel, which has none. In held, if it is not nil, is what has come
// from the source already. That goes first, and what the source sends after the end of the framing is put there.
func (d *direction) move(l *loop, source, sink *socket, f *framed, held *buffer) (alive bool, why outcome) {
	spent := 0
	for why == moving {
		kept := d.kept()
		taken, err := d.flush(sink)
		alive = alive || d.kept() < kept
		switch {
		case err != nil:
			why = sinkBroken
		case !taken:
			why = sinkFull
		case f.done():
			why = complete
		case spent >= turnBudget:
			why = budgetSpent
		default:
			var n int
			n, why = d.step(l, source, sink, f, held)
			spent += n
			alive = alive || why == moving
		}
	}
	l.moved += spent
	d.settle()
	return alive, why
}

// step moves one buffer or one pipe of bytes, which count as n in the turn's budget.
func (d *direction) step(l *loop, source, sink *socket, f *framed, held *buffer) (n int, why outcome) {
	if held != nil && !held.empty() {
		n, why = d.pass(sink, f, held.bytes())
		held.skip(n)
		return readSize, why
	}
	if !source.readable {
		return 0, drained
	}
	if f.mayBeSpliced() && d.splices(l, sink) {
		n, err := d.fill(source, f.most())
		f.spliced(n)
		return n, outcomeOf(err)
	}
	n, err := source.read(l.buf[:])
	if err != nil {
		return 0, outcomeOf(err)
	}
	d.noteRead(n)
	b := l.buf[:n]
	n, why = d.pass(sink, f, b)
	if held != nil {
		held.append(b[n:])
	}
	return readSize, why
}

// outcomeOf is what the error of a read from the source means for a move.
func outcomeOf(err error) outcome {
	switch err {
	case nil:
		return moving
	case kernel.ErrAgain:
		return drained
	case io.EOF:
		return sourceEnded
	}
	return sourceReset
}

// pass sends to the sink what of b belongs to the framing, and returns how many bytes of b that is.
func (d *direction) pass(sink *socket, f *framed, b []byte) (n int, why outcome) {
	n = len(b)
	var err error
	switch {
	case f == nil:
	case f.decodes:
		n, err = f.collect(b, &d.unsent) // which the next flush sends
	default:
		n, err = f.take(b)
	}
	if err != nil {
		f.fault = err
		return n, malformed
	}
	if f == nil || !f.decodes {
		err = d.send(sink, b[:n])
	}
	if err != nil {
		return n, sinkBroken
	}
	return n, moving
}
