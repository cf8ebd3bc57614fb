//go:build linux

package drive

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Kind is what the clients do.
type Kind string

const (
	Plain   Kind = "plain"   // requests on kept-alive connections
	Connect Kind = "connect" // each operation is a connection: CONNECT, one request in the tunnel, close
	Socks   Kind = "socks"   // the same, with SOCKS5 in place of the CONNECT
	Tunnel  Kind = "tunnel"  // requests in tunnels that stand already
	Down    Kind = "down"    // tunnels that the provider fills
	Up      Kind = "up"      // tunnels that the clients fill
	Idle    Kind = "idle"    // tunnels in which nothing happens
	Slow    Kind = "slow"    // tunnels that the provider fills and whose clients read at Rate
)

// Kinds are all kinds, in the order of the documentation.
var Kinds = []Kind{Plain, Connect, Socks, Tunnel, Down, Up, Idle, Slow}

// A Scenario is one measurement.
type Scenario struct {
	Kind     Kind
	Proxies  []netip.AddrPort // the relay's ports; clients are spread over them. Empty: straight to the provider
	Provider netip.AddrPort   // where the provider listens, which the relay has as its upstream
	Clients  int              // connections at a time; 0 means 64
	Threads  int              // workers; 0 means 2

	// Rate makes the loop open: so many operations begin each second, whether or not earlier ones have ended, and
	// latency counts from when one was due. For Down, Up and Slow it is bytes a second, in all. 0: each client begins
	// its next operation when the last has ended.
	Rate float64

	Request  int // bytes of a request in a tunnel; 0 means 256
	Response int // bytes of the content of a response; 0 means 1024
	Content  int // bytes of content that plain requests carry; 0: none, they are GETs

	Fields string // field lines that plain requests carry beside their own, each with its CRLF

	// Streams are tunnels that the provider fills beside the clients; they count only in Background.
	Streams int

	Warm     time.Duration // load before the clock runs; 0 means 500 ms
	Duration time.Duration // of the measurement; 0 means 3 s

	// Began and Ended are called as the clock starts and stops, when all connections of the scenario stand.
	Began, Ended func()
}

// A Result is what a Scenario came to.
type Result struct {
	Elapsed     time.Duration
	Connections int64 // that clients have opened, from the beginning on
	Operations  int64 // that ended while the clock ran; of Down, Up and Slow: MiB
	Bytes       int64 // received at the sinks of Down, Up and Slow
	Background  int64 // bytes of Scenario.Streams
	Errors      int64 // connections that ended, answers that were not what they should be, operations that were dropped
	FirstError  error
	latencies   []int64 // sorted, nanoseconds
}

// Rate is the operations a second.
func (r *Result) Rate() float64 { return float64(r.Operations) / r.Elapsed.Seconds() }

// Latency is the quantile q of the operations' latencies, 0 if there are none.
func (r *Result) Latency(q float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	i := int(q * float64(len(r.latencies)))
	return time.Duration(r.latencies[min(i, len(r.latencies)-1)])
}

const (
	setupTime = 30 * time.Second // for all connections to stand
	maxErrors = 1000             // that one worker goes on after
)

func (s Scenario) withDefaults() Scenario {
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	set(&s.Clients, 64)
	set(&s.Threads, 2)
	set(&s.Request, 256)
	set(&s.Response, 1024)
	if s.Warm == 0 {
		s.Warm = 500 * time.Millisecond
	}
	if s.Duration == 0 {
		s.Duration = 3 * time.Second
	}
	s.Threads = min(s.Threads, s.Clients)
	return s
}

func (s *Scenario) check() error {
	switch {
	case !slices.Contains(Kinds, s.Kind):
		return fmt.Errorf("scenario %q: not one of %v", s.Kind, Kinds)
	case !s.Provider.IsValid() || s.Provider.Port() == 0:
		return errors.New("the provider needs an address and a port to listen on")
	case s.Clients < 0 || s.Rate < 0 || s.Request < 0 || s.Response < 0 || s.Content < 0 || s.Streams < 0:
		return errors.New("no number of a scenario may be negative")
	case s.Kind == Socks && len(s.Proxies) == 0:
		return errors.New("socks clients need a relay: the provider speaks HTTP")
	case s.Kind == Slow && s.Rate == 0:
		return errors.New("slow clients need a rate to read at, in bytes a second")
	}
	return nil
}

// Run carries a scenario out. The error is about what kept it from being measured at all; what went wrong under way is
// in the result.
func Run(s Scenario) (*Result, error) {
	s = s.withDefaults()
	if err := s.check(); err != nil {
		return nil, err
	}
	l := &load{s: &s}
	defer l.closeAll()
	m := newMessages(&s)
	for i := range s.Threads {
		w, err := newWorker(&s, m, i)
		if err != nil {
			return nil, err
		}
		l.workers = append(l.workers, w)
	}
	defer reserveProcs(s.Threads)()
	for _, w := range l.workers {
		l.running.Go(func() {
			w.run()
			l.ended.Store(true)
		})
	}
	defer l.stop()
	if err := l.awaitConnections(); err != nil {
		return nil, err
	}
	elapsed := l.measure()
	l.stop()
	return l.result(elapsed), nil
}

// A load is a scenario at work.
type load struct {
	s       *Scenario
	workers []*worker
	running sync.WaitGroup
	ended   atomic.Bool // a worker has, by itself
}

// awaitConnections waits until all of the scenario's stand.
func (l *load) awaitConnections() error {
	want := l.s.Clients + l.s.Streams
	for end := time.Now().Add(setupTime); ; time.Sleep(time.Millisecond) {
		up := 0
		for _, w := range l.workers {
			up += int(w.up.Load())
		}
		if up == want {
			return nil
		}
		if l.ended.Load() || time.Now().After(end) {
			l.stop()
			return fmt.Errorf("only %d of %d connections stand: %w", up, want, firstError(l.workers))
		}
	}
}

// measure begins the load, and has the clock run after it has warmed up.
func (l *load) measure() time.Duration {
	for _, w := range l.workers {
		w.begin.Store(true)
	}
	time.Sleep(l.s.Warm)
	from := time.Now()
	if l.s.Began != nil {
		l.s.Began()
	}
	l.count(true)
	time.Sleep(l.s.Duration)
	l.count(false)
	if l.s.Ended != nil {
		l.s.Ended()
	}
	return time.Since(from)
}

func (l *load) count(on bool) {
	for _, w := range l.workers {
		w.counting.Store(on)
	}
}

// stop ends the workers' loops. Their counts may be read then.
func (l *load) stop() {
	for _, w := range l.workers {
		w.stop.Store(true)
	}
	l.running.Wait()
}

func (l *load) closeAll() {
	for _, w := range l.workers {
		w.closeAll()
	}
}

// result adds up what the workers have counted.
func (l *load) result(elapsed time.Duration) *Result {
	r := &Result{Elapsed: elapsed, FirstError: firstError(l.workers)}
	for _, w := range l.workers {
		r.Connections += w.connections
		r.Operations += w.operations
		r.Bytes += w.bytes
		r.Background += w.background
		r.Errors += w.errors
		r.latencies = append(r.latencies, w.latencies...)
	}
	slices.Sort(r.latencies)
	if l.s.bulk() {
		r.Operations = r.Bytes >> 20
	}
	return r
}

// connects reports whether each operation is a connection.
func (k Kind) connects() bool { return k == Connect || k == Socks }

func (s *Scenario) bulk() bool { return s.Kind == Down || s.Kind == Up || s.Kind == Slow }

func firstError(workers []*worker) error {
	for _, w := range workers {
		if w.firstError != nil {
			return w.firstError
		}
	}
	return nil
}
