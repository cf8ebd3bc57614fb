package relay

import (
	"sync/atomic"
	"time"

	"proxymap/relay/internal/kernel"
)

// Bulk goes through pipes: splice(2) moves pages from one socket to the other, and nothing is copied. It costs a call
// more than copying, so small messages are copied. A direction splices once reads have come back full, and copies again
// once a splice brings little.
//
// A direction has a pipe only while it is being pumped, and while the pipe holds what its sink does not take: a tunnel
// at rest has none. So a few pipes do for all the streams of a loop, but for those whose sinks are slow. There may be
// thousands of these, and not of pipes: a direction that gets none copies, with a buffer's worth of unsent bytes.
const (
	pipeSize = 1 << 20  // asked for; a third less CPU time than with the usual 64 KiB
	minPipe  = 64 << 10 // a smaller one, which is what the kernel gives in need, is not worth it

	// maxPipes is how many a relay has open at most: what a user without privileges may have of that size (64 MiB). With
	// few descriptors it is less (Budget).
	maxPipes = 64

	// maxIdlePipes is how many a loop keeps for its next streams.
	maxIdlePipes = 8

	// pipeRetry is how long a loop copies after the kernel has refused a pipe.
	pipeRetry = time.Second

	// leastSplice is what a splice has to bring: less is copied for less. A direction goes on splicing until smallSplices
	// in a row have brought less, for a stream that is relayed as fast as it comes is looked at at any moment.
	leastSplice  = 16 << 10
	smallSplices = 8

	// spliceContent is how much of a message's content has to be left to come for splicing it.
	spliceContent = 64 << 10

	// stallTime is how long a sink may take nothing before its pipe counts as stalled. Half of all pipes may be with such:
	// another's bytes are read out into memory, and the pipe is free for a stream that runs. That is done for maxReadOut
	// at a time, which is 32 MiB; behind still more of them all streams copy until some sink takes its bytes.
	stallTime  = time.Second
	maxReadOut = 32
)

// pipeCount is a relay's pipes, over all loops.
type pipeCount struct {
	open    atomic.Int32
	stalled atomic.Int32
	readOut atomic.Int32 // directions that hold in memory what was in a pipe
}

// pipes are a loop's.
type pipes struct {
	idle    []*pipe
	blocked []*pipe // of directions whose sinks do not take what is in them
	checkAt int64   // when to look for stalled ones, 0: none is blocked
	retryAt int64   // when to ask the kernel again after it has refused one

	spliced int64 // bytes that have left pipes
}

// A pipe belongs to its loop's idle ones or to one direction.
type pipe struct {
	kernel.Pipe
	l       *loop
	of      *direction // while it is blocked
	took    int64      // the loop's time at which the sink last took bytes
	stalled bool
}

// takePipe gets a pipe, nil if there is none to be had.
func (l *loop) takePipe() *pipe {
	ps := &l.pipes
	if n := len(ps.idle); n > 0 {
		p := ps.idle[n-1]
		ps.idle = ps.idle[:n-1]
		return p
	}
	count := &l.relay.pipes
	if l.now < ps.retryAt {
		return nil
	}
	if int(count.open.Add(1)) > l.relay.admission.budget.pipes {
		count.open.Add(-1)
		return nil
	}
	opened, ok := kernel.OpenPipe(pipeSize, minPipe)
	if !ok {
		count.open.Add(-1)
		ps.retryAt = l.now + int64(pipeRetry)
		return nil
	}
	return &pipe{Pipe: opened, l: l}
}

// give gives a pipe back. One that holds bytes must not carry another's, and is closed.
func (p *pipe) give() {
	p.unblock()
	ps := &p.l.pipes
	if p.Held == 0 && len(ps.idle) < maxIdlePipes {
		ps.idle = append(ps.idle, p)
		return
	}
	p.close()
}

func (p *pipe) close() {
	p.Close()
	p.l.relay.pipes.open.Add(-1)
}

// closePipes closes the loop's idle pipes; there are no others when it has ended.
func (l *loop) closePipes() {
	for _, p := range l.pipes.idle {
		p.close()
	}
	l.pipes.idle = nil
}

// splices reports whether the direction goes on by splicing, and if so sees to it that it has a pipe.
func (d *direction) splices(l *loop, sink *socket) bool {
	if d.bulk == 0 || !sink.writable {
		return false
	}
	if d.pipe == nil {
		d.pipe = l.takePipe()
	}
	return d.pipe != nil
}

// fill moves at most most bytes from source into the direction's pipe, which is empty. Its errors are a read's.
func (d *direction) fill(source *socket, most int64) (int, error) {
	n, err := source.splice(&d.pipe.Pipe, most)
	d.pipe.took = d.pipe.l.now
	switch {
	case n >= leastSplice:
		d.bulk = smallSplices
	case n > 0:
		d.bulk--
	}
	return n, err
}

// drain moves bytes from the direction's pipe to the sink. It reports whether that has taken all.
func (d *direction) drain(sink *socket) (bool, error) {
	p := d.pipe
	for p.Held > 0 {
		if !sink.writable {
			return false, nil
		}
		n, err := p.Drain(sink.fd)
		switch {
		case err == kernel.ErrAgain:
			sink.writable = false
		case err != nil:
			return false, err
		default:
			sink.countSent(n)
			p.l.pipes.spliced += int64(n)
			p.took = p.l.now
			p.unstall()
		}
	}
	if p.of != nil { // its wait is over
		d.pipe = nil
		p.give()
	}
	return true, nil
}

// noteRead takes note of a read by the copying way: one that fills the buffer, and is taken by the sink whole, leads to
// splicing.
func (d *direction) noteRead(n int) {
	d.bulk = 0
	if n == readSize {
		d.bulk = smallSplices
	}
}

// settle is called when pumping the direction pauses: an empty pipe goes back, one with bytes waits for the sink.
func (d *direction) settle() {
	p := d.pipe
	switch {
	case p == nil:
	case p.Held == 0:
		d.pipe = nil
		p.give()
	case p.of == nil:
		p.of = d
		ps := &p.l.pipes
		ps.blocked = append(ps.blocked, p)
		if ps.checkAt == 0 {
			ps.checkAt = p.l.now + int64(stallTime)
		}
	}
}

// forgetReadOut is called when what readOut has moved into memory has left it.
func (d *direction) forgetReadOut() {
	if d.readOutOf != nil {
		d.readOutOf.readOut.Add(-1)
		d.readOutOf = nil
	}
}

// drop forgets what the direction holds.
func (d *direction) drop() {
	d.unsent.release()
	d.forgetReadOut()
	if p := d.pipe; p != nil {
		d.pipe = nil
		p.give()
	}
	d.bulk = 0
}

// unblock ends what settle began.
func (p *pipe) unblock() {
	if p.of == nil {
		return
	}
	p.unstall()
	p.of = nil
	ps := &p.l.pipes
	for i, b := range ps.blocked {
		if b == p {
			last := len(ps.blocked) - 1
			ps.blocked[i] = ps.blocked[last]
			ps.blocked[last] = nil
			ps.blocked = ps.blocked[:last]
			return
		}
	}
}

func (p *pipe) unstall() {
	if p.stalled {
		p.stalled = false
		p.l.relay.pipes.stalled.Add(-1)
	}
}

// checkPipes looks for directions that have stalled.
func (l *loop) checkPipes() {
	ps, count := &l.pipes, &l.relay.pipes
	ps.checkAt = 0
	for i := 0; i < len(ps.blocked); i++ {
		p := ps.blocked[i]
		if p.stalled {
			continue
		}
		if at := p.took + int64(stallTime); at > l.now {
			if ps.checkAt == 0 || at < ps.checkAt {
				ps.checkAt = at
			}
			continue
		}
		p.stalled = true
		p.of.bulk = 0
		if int(count.stalled.Add(1)) > l.relay.admission.budget.pipes/2 && count.readOut.Load() < maxReadOut {
			p.of.readOut()
			i-- // another has taken its place
		}
	}
}

// readOut moves what the direction's pipe holds into memory, and gives the pipe back.
func (d *direction) readOut() {
	p := d.pipe
	d.pipe = nil
	d.readOutOf = &p.l.relay.pipes
	d.readOutOf.readOut.Add(1)
	d.unsent.appendFrom(p.Held, func(b []byte) int {
		n, err := p.Read(b)
		if err != nil {
			panic("relay: a pipe does not hold what went into it: " + err.Error())
		}
		return n
	})
	p.give()
}
