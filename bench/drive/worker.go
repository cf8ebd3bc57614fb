//go:build linux

package drive

import (
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	waitTime   = 2 * time.Millisecond  // of one raw wait: it keeps its P, so it is short
	tickTime   = 10 * time.Millisecond // between two allowances of paced bulk
	bulkBudget = 1 << 20               // bytes that one end moves before the others have their turn
	sideBudget = 256 << 10             // bytes of bulk between two looks at what else has come, where it is not what is measured
	maxSamples = 4 << 20               // latencies that a worker remembers
	maxBacklog = 1 << 16               // operations that are due and have no client
)

// A worker is one event loop of the load.
type worker struct {
	s      *Scenario
	m      *messages
	number int
	epoll  int
	start  time.Time
	now    int64 // since start

	ends     []*end // by token
	free     []uint32
	runnable []*end
	ran      int // entries at the beginning of runnable that are done with
	moved    int // bytes that they have moved
	events   [256]unix.EpollEvent
	buf      []byte

	listener int
	proxies  []unix.Sockaddr
	next     int // proxy

	// Of an open loop.
	interval float64 // nanoseconds between two operations
	due      float64 // when the next is due
	waiting  []*end  // clients that have nothing to do: a queue
	backlog  []int64 // due times that wait for a client: a queue

	allowance int64 // bytes an end may move each tick
	tickAt    int64

	up       atomic.Int32 // connections that stand
	begin    atomic.Bool
	counting atomic.Bool
	stop     atomic.Bool
	begun    bool

	operations, bytes, background, errors int64
	connections                           int64
	firstError                            error
	latencies                             []int64
}

func newWorker(s *Scenario, m *messages, i int) (*worker, error) {
	w := &worker{s: s, m: m, number: i, start: time.Now(), listener: -1, buf: make([]byte, 256<<10)}
	w.latencies = make([]int64, 0, maxSamples/s.Threads)
	var err error
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	if err := w.listen(s.Provider); err != nil {
		w.closeAll()
		return nil, fmt.Errorf("the provider cannot listen on %s: %w", s.Provider, err)
	}
	for _, p := range s.Proxies {
		w.proxies = append(w.proxies, sockaddr(p))
	}
	if len(w.proxies) == 0 {
		w.proxies = append(w.proxies, sockaddr(s.Provider))
	}
	w.next = i
	clients, streams := share(s.Clients, s.Threads, i), share(s.Streams, s.Threads, i)
	if s.Rate > 0 {
		share := s.Rate * float64(clients) / float64(s.Clients)
		w.interval = 1e9 / share
		w.allowance = int64(share * tickTime.Seconds() / float64(max(clients, 1)))
	}
	for range clients {
		w.newClient(s.Kind, true)
	}
	for range streams {
		w.newClient(Down, false)
	}
	return w, nil
}

// share is the i-th of n parts of total.
func share(total, n, i int) int { return total*(i+1)/n - total*i/n }

func (w *worker) listen(addr netip.AddrPort) error {
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	w.listener = fd
	for _, option := range [...][2]int{{unix.SOL_SOCKET, unix.SO_REUSEADDR}, {unix.SOL_SOCKET, unix.SO_REUSEPORT}, {unix.IPPROTO_TCP, unix.TCP_NODELAY}} {
		if err := unix.SetsockoptInt(fd, option[0], option[1], 1); err != nil {
			return err
		}
	}
	if err := unix.Bind(fd, sockaddr(addr)); err != nil {
		return err
	}
	if err := unix.Listen(fd, 4096); err != nil {
		return err
	}
	return unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: -1})
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// reserveProcs gives the runtime Ps for the workers, whose waits keep theirs.
func reserveProcs(n int) (release func()) {
	add := func(n int) {
		procs.Lock()
		defer procs.Unlock()
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + n)
	}
	add(n)
	return func() { add(-n) }
}

// procs is held by who changes the number of Ps: scenarios may run beside each other.
var procs sync.Mutex

func (w *worker) run() {
	for !w.stop.Load() && w.errors < maxErrors {
		n := w.wait()
		w.now = int64(time.Since(w.start))
		for i := range w.events[:n] {
			w.event(&w.events[i])
		}
		w.turn()
	}
}

func (w *worker) event(ev *unix.EpollEvent) {
	if ev.Fd < 0 {
		w.accept()
		return
	}
	e := w.ends[ev.Fd]
	if e.gen != ev.Pad || e.fd < 0 {
		return
	}
	if ev.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		e.readable = true
	}
	if ev.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		e.hup = true
	}
	if ev.Events&unix.EPOLLOUT != 0 {
		e.writable = true
	}
	if !w.s.bulk() && (e.state == stateSource || e.state == stateSink) {
		w.schedule(e) // bulk takes turns, or it would be the load that keeps small requests waiting
		return
	}
	e.step()
}

// wait waits for events, for the next operation to be due, or for something from outside.
func (w *worker) wait() int {
	most := int64(waitTime)
	switch {
	case len(w.runnable) > w.ran:
		most = 0
	case !w.begun:
	case w.allowance > 0 && w.s.bulk():
		most = min(most, max(w.tickAt-w.now, 0))
	case w.interval > 0 && w.s.Kind != Idle:
		most = min(most, max(int64(w.due)-w.now, 0))
	}
	ts := unix.NsecToTimespec(most)
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(w.epoll), uintptr(unsafe.Pointer(&w.events[0])), uintptr(len(w.events)),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
	if errno != 0 {
		runtime.Gosched()
		return 0
	}
	return int(n)
}

// turn does what no event tells of.
func (w *worker) turn() {
	if !w.begun {
		if !w.begin.Load() {
			return
		}
		w.begun = true
		w.due, w.tickAt = float64(w.now), w.now
		if w.interval > 0 {
			w.due += w.interval * float64(w.number) / float64(w.s.Threads) // workers are out of step
		}
		for _, e := range w.ends {
			if e.ready {
				e.onReady()
			}
		}
	}
	if w.interval > 0 && !w.s.bulk() && w.s.Kind != Idle {
		w.beginDue()
	}
	if w.allowance > 0 && w.s.bulk() && w.now >= w.tickAt {
		w.tickAt += int64(tickTime)
		for _, e := range w.ends {
			if e.fd >= 0 && e.paced {
				e.allowed = min(e.allowed+w.allowance, 4*w.allowance)
				w.schedule(e)
			}
		}
	}
	w.moved = 0
	for n := len(w.runnable); w.ran < n && w.moved < w.budget(); {
		e := w.runnable[w.ran]
		w.ran++
		e.scheduled = false
		if e.fd >= 0 {
			e.step()
		}
	}
	if w.ran*2 >= len(w.runnable) {
		w.runnable, w.ran = w.runnable[:copy(w.runnable, w.runnable[w.ran:])], 0
	}
}

// beginDue begins the operations that are due, as far as there are clients.
func (w *worker) beginDue() {
	for int64(w.due) <= w.now {
		if len(w.backlog) == maxBacklog {
			w.fail(fmt.Errorf("more than %d operations are due and have no client", maxBacklog))
		} else {
			w.backlog = append(w.backlog, int64(w.due))
		}
		w.due += w.interval
	}
	n := min(len(w.backlog), len(w.waiting))
	for i := range n {
		w.waiting[i].begin(w.backlog[i])
	}
	w.backlog = w.backlog[:copy(w.backlog, w.backlog[n:])]
	w.waiting = w.waiting[:copy(w.waiting, w.waiting[n:])]
}

// budget is how much bulk a turn moves. Where bulk is all there is, each end has its turn.
func (w *worker) budget() int {
	if w.s.bulk() {
		return math.MaxInt
	}
	return sideBudget
}

func (w *worker) schedule(e *end) {
	if !e.scheduled {
		e.scheduled = true
		w.runnable = append(w.runnable, e)
	}
}

func (w *worker) accept() {
	fd, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(w.listener), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return
	}
	e := w.newEnd(int(fd))
	e.provider = true
	e.state = stateHead
	e.writable = true
	w.watch(e)
}

func (w *worker) newEnd(fd int) *end {
	if n := len(w.free); n > 0 {
		e := w.ends[w.free[n-1]]
		w.free = w.free[:n-1]
		*e = end{w: w, index: e.index, gen: e.gen + 1, fd: fd, partial: e.partial[:0]}
		return e
	}
	e := &end{w: w, index: uint32(len(w.ends)), fd: fd}
	w.ends = append(w.ends, e)
	return e
}

func (w *worker) watch(e *end) {
	err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, e.fd,
		&unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(e.index), Pad: e.gen})
	if err != nil {
		w.fail(fmt.Errorf("epoll_ctl: %w", err))
	}
}

func (w *worker) fail(err error) {
	if w.firstError == nil {
		w.firstError = err
	}
	w.errors++
}

// completed counts an operation.
func (w *worker) completed(due int64) {
	if w.counting.Load() {
		w.operations++
		if len(w.latencies) < cap(w.latencies) {
			w.latencies = append(w.latencies, int64(time.Since(w.start))-due)
		}
	}
}

func (w *worker) closeAll() {
	for _, e := range w.ends {
		if e.fd >= 0 {
			_ = unix.Close(e.fd)
		}
	}
	if w.listener >= 0 {
		_ = unix.Close(w.listener)
	}
	_ = unix.Close(w.epoll)
}
