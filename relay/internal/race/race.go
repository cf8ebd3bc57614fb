package race

import "time"

// Most is how many attempts of one race are under way at once.
const Most = 3

const (
	// leastStagger is the Connection Attempt Delay that RFC 8305 section 8 recommends, mostStagger its greatest.
	leastStagger = 250 * time.Millisecond
	mostStagger  = 2 * time.Second
)

// Never is a time that does not come.
const Never = 1<<63 - 1

// A Race is of the attempts to connect to a server. Attempts are named by their order: 0 is the oldest of those under way.
// New makes one; the zero Race has ended.
type Race struct {
	begun   [Most]int64
	running int
	next    int64 // when the next address begins, if there is one
	stagger int64 // between two attempts
	share   int64 // of an address, where none may be tried beside it
	ends    int64
}

// A Move is what is to be done when a time has come.
type Move uint8

// The moves.
const (
	Wait    Move = iota // nothing
	Begin               // begin with the next address
	Replace             // end attempt 0, then begin with the next address
	GiveUp              // end all: the server's time is over
)

// New makes a race that begins now and ends at a time, Never if it has all the time. usual is how long the server mostly
// takes to connect, 0 if that is not known. addresses is how many it has, 1 at least.
func New(now, ends int64, usual time.Duration, addresses int) Race {
	r := Race{ends: ends, stagger: int64(min(max(2*usual, leastStagger), mostStagger)), share: Never}
	if ends != Never {
		r.share = max(ends-now, 0) / int64(addresses)
	}
	return r
}

// Running is how many attempts are under way.
func (r *Race) Running() int { return r.running }

// Begun is when attempt i has begun.
func (r *Race) Begun(i int) int64 { return r.begun[i] }

// Begins takes note of an attempt that begins, the youngest. Fewer than Most are under way.
func (r *Race) Begins(now int64) {
	r.begun[r.running] = now
	r.running++
	r.next = now + r.stagger
}

// Ended takes note of the end of attempt i. Those after it move up. If it has failed, the next address begins at once.
func (r *Race) Ended(i int) {
	copy(r.begun[i:], r.begun[i+1:r.running])
	r.running--
}

// Wake is when Due is to be asked again. more says that there are addresses that have not been tried, or may come to be.
func (r *Race) Wake(more bool) int64 {
	if more {
		return min(r.next, r.ends)
	}
	return r.ends
}

// Due is what is to be done now. left says that there are addresses that have not been tried.
func (r *Race) Due(now int64, left bool) Move {
	switch {
	case now >= r.ends:
		return GiveUp
	case now < r.next:
		return Wait
	case !left:
		r.Postpone(now)
		return Wait
	case r.running == Most:
		return Replace
	}
	return Begin
}

// Crowded is Due's move in place of Begin where there is no room for one more attempt: once the oldest has had its share
// of the time, it makes room.
func (r *Race) Crowded(now int64) Move {
	if now-r.begun[0] >= r.share {
		return Replace
	}
	r.Postpone(now)
	if r.share != Never {
		r.next = min(r.next, r.begun[0]+r.share)
	}
	return Wait
}

// Postpone puts the next attempt off.
func (r *Race) Postpone(now int64) { r.next = now + r.stagger }
