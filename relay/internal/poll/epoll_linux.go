//go:build linux && !netpoll

package poll

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// rawWait is how long a wait keeps its P. A wait by the ordinary way gives it up, and getting it back costs more than
	// the work of a request; a busy loop waits less than this. But whoever stops the world has to wait for it at worst, so
	// it is short, and a loop with nothing to do waits on by the ordinary way.
	rawWait = 4 * time.Millisecond

	// rawWaits is how many of them in a row bring nothing before that. When the last P goes idle the runtime's monitor
	// falls asleep, and when it is woken it looks around every 20 us for a millisecond: at 100 bursts a second that cost
	// more than the bursts.
	rawWaits = 5

	// waitEvents is how many events one wait takes at most.
	waitEvents = 256

	// tokenWake is the token of the poller's own eventfd.
	tokenWake Token = 0
)

// Measures says whether the poller tells the loop when it waits. A loop that knows how much of its time it works can share
// its connections with others.
const Measures = true

// Poller is the poller of Linux: epoll with the token in the event, a time-out, and a wait that keeps its P.
type Poller struct {
	fd     int
	wakeFD int
	woken  atomic.Bool // wakeFD has been written to and not read yet
	mu     sync.Mutex  // guards wakeFD against being written to when it has been closed
	closed bool
	events [waitEvents]unix.EpollEvent
	now    int64 // as of the last Tick
	raw    bool  // short waits are raw: see Reserve
	vain   int   // short waits in a row that have brought nothing
}

// New makes a poller.
func New() (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	wakeFD, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("eventfd", err)
	}
	p := &Poller{fd: fd, wakeFD: wakeFD}
	if err := p.control(unix.EPOLL_CTL_ADD, wakeFD, unix.EPOLLIN, tokenWake); err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

// Add is as in poller.
func (p *Poller) Add(fd int, token Token) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET, token)
}

// AddListener is as in poller.
func (p *Poller) AddListener(fd int, token Token) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, token)
}

// Remove is as in poller.
func (p *Poller) Remove(fd int) error {
	return p.control(unix.EPOLL_CTL_DEL, fd, 0, 0)
}

func (p *Poller) control(op, fd int, events uint32, token Token) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(token), Pad: int32(token >> 32)}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.fd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

// Run is as in poller.
func (p *Poller) Run(l Loop, raw bool) error {
	p.now, p.raw = l.Tick(), raw
	for {
		l.Waits()
		n, err := p.wait(l)
		if err != nil {
			return os.NewSyscallError("epoll_wait", err)
		}
		p.now = l.Tick()
		for i := range p.events[:n] {
			ev := &p.events[i]
			token := NewToken(uint32(ev.Pad), uint32(ev.Fd))
			if token == tokenWake {
				p.clearWake()
				continue
			}
			l.Event(token, epollEvents(ev.Events))
		}
		if l.Turn() {
			return nil
		}
	}
}

// wait waits for events, for a wake, or for the loop's next deadline: first raw, if that may be, then the ordinary way.
func (p *Poller) wait(l Loop) (int, error) {
	most := time.Duration(-1)
	if next := l.Deadline(); next != 0 {
		most = time.Duration(max(next-p.now, 0))
	}
	n, errno := p.waitShort(time.Duration(min(uint64(rawWait), uint64(most)))) // -1, for ever, is the largest
	switch {
	case errno == unix.EINTR:
		runtime.Gosched() // the runtime wants this thread: for stopping the world, most likely
		return 0, nil
	case errno != 0:
		return 0, errno
	case n > 0:
		p.vain = 0
		return n, nil
	case most >= 0 && most <= rawWait:
		return 0, nil
	}
	if p.vain++; p.vain < rawWaits {
		return 0, nil
	}
	p.vain = 0
	if most > 0 {
		most -= rawWait
	}
	l.Rests()
	n, err := unix.EpollWait(p.fd, p.events[:], milliseconds(most))
	if err == unix.EINTR {
		return 0, nil
	}
	return max(n, 0), err
}

// waitShort waits for rawWait at most: raw, which is epoll_pwait without telling the scheduler, or the ordinary way.
func (p *Poller) waitShort(most time.Duration) (int, unix.Errno) {
	ms := milliseconds(most)
	if !p.raw {
		n, err := unix.EpollWait(p.fd, p.events[:], ms)
		errno, _ := err.(unix.Errno)
		return max(n, 0), errno
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])), waitEvents, uintptr(ms), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// rawLoops is how many loops of this process wait raw.
var rawLoops atomic.Int32

// Procs is the GOMAXPROCS that so many loops need to wait raw: one more, because each keeps its P while it waits.
func Procs(loops int) int { return loops + 1 }

// Reserve reports whether so many loops more may wait raw. They may if the runtime has a P beside those that all such loops
// keep: with none left, stopping the world takes a loop's whole raw wait, each time. release is to be called once, when the
// loops have ended.
func Reserve(loops int) (raw bool, release func()) {
	total := int(rawLoops.Add(int32(loops)))
	release = func() { rawLoops.Add(int32(-loops)) }
	if Procs(total) <= runtime.GOMAXPROCS(0) {
		return true, release
	}
	release()
	return false, func() {}
}

// milliseconds rounds up, so that a deadline is due when the wait for it ends; negative is for ever.
func milliseconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	return int(min((d+time.Millisecond-1)/time.Millisecond, 1<<30))
}

// Wake is as in poller.
func (p *Poller) Wake() {
	if !p.woken.CompareAndSwap(false, true) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		one := [8]byte{1}
		_, _ = unix.Write(p.wakeFD, one[:]) // a counter of 64 bits is never full
	}
}

func (p *Poller) clearWake() {
	var b [8]byte
	_, _ = unix.Read(p.wakeFD, b[:])
	// Only now: work that is enqueued from here on wakes again, and what was enqueued before is found in this turn.
	p.woken.Store(false)
}

// Close is as in poller.
func (p *Poller) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	_ = unix.Close(p.wakeFD)
	return os.NewSyscallError("close", unix.Close(p.fd))
}
