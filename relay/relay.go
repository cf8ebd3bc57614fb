package relay

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"proxymap/relay/internal/kernel"
	"proxymap/relay/internal/lookup"
	"proxymap/relay/internal/poll"
	"proxymap/session"
)

// A Relay is a set of local ports and the event loops that serve them.
type Relay struct {
	log   *slog.Logger
	store Store
	start time.Time

	latest atomic.Pointer[setup]

	table      atomic.Pointer[portTable]
	loops      []*loop
	placed     atomic.Uint32 // connections given out in turn
	lookup     finder
	accept     accepter
	spread     bool // connections go to the loops in turn
	inOrder    bool
	targets    targets
	lookups    lookups
	machine    machineAddrs
	turned     turnedAway
	busy       busyTimes
	admission  admission
	rivals     atomic.Int32 // places that are taken; see Budget
	pipes      pipeCount
	burstEnded func() // nil: nobody is told
	baseline   baseline
	stopped    atomic.Int64 // the clock when Shutdown was called first; 0: it has not been
	loud       bool         // a panic ends the process, whosever it is
	panickedAt atomic.Int64 // the loops' time of the last panic
	begun      atomic.Bool  // Serve or Close has been called
	errands    errands

	subscribers []func(session.Event)
}

// processors is how many processors Go may use, as found at the start: a program that runs relays raises GOMAXPROCS.
var processors = runtime.GOMAXPROCS(0)

// Listen binds every port of cfg and makes the loops. Nothing is served before Serve; a relay that is not to be served is
// to be closed. An error names the port and the address that it is about; nothing stays bound then.
func Listen(cfg Config) (*Relay, error) {
	budget, err := cfg.Budget()
	if err != nil {
		return nil, err
	}
	r := &Relay{
		admission: admission{budget: budget},
		lookups:   lookups{most: budget.lookups},
		log:       cfg.Log,
		store:     cfg.Store,
		start:     time.Now(),
		turned:    newTurnedAway(),
		lookup:    cfg.lookup,
		spread:    cfg.spread || !poll.Measures,
	}
	r.inOrder, r.loud, r.burstEnded = cfg.inOrder, cfg.loud, cfg.BurstEnded
	r.latest.Store(newSetup(&cfg))
	r.machine.refresh()
	r.busy = busyTimes{cmp.Or(cfg.busy.time, busyTime), cmp.Or(cfg.busy.retry, busyRetry)}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.lookup == nil {
		r.lookup = lookup.New().Find
	}
	if r.accept = cfg.accept; r.accept == nil {
		r.accept = kernel.Accept
	}
	if err := r.openPorts(cfg.Mappings, cfg.RuleServers); err != nil {
		r.abandon()
		return nil, err
	}
	r.load(r.ports())
	if err := r.openLoops(cfg.loops(), cfg.HostStats); err != nil {
		r.abandon()
		return nil, err
	}
	return r, nil
}

func (r *Relay) openPorts(cfgs []Mapping, ruleServers []Server) error {
	var mappings []*mapping
	var ports []*port
	var of []int
	defer func() { r.table.Store(newPortTable(mappings, ports, of)) }() // also after an error: abandon closes what is bound
	for _, cfg := range cfgs {
		m, err := newMapping(cfg, ruleServers, r.setup(), nil, r.inOrder)
		if err != nil {
			return err
		}
		mappings = append(mappings, m)
		for n := int(cfg.First); n <= int(cfg.Last); n++ {
			p := newPort(m, netip.AddrPortFrom(cfg.Address, uint16(n)))
			if err := r.openPort(p); err != nil {
				return err
			}
			m.assign(p)
			r.watch(p)
			ports, of = append(ports, p), append(of, len(mappings)-1)
			m.disown(p.addr)
		}
	}
	return r.awaitPorts(ports)
}

// openLoops makes the loops and gives them the ports. Each port belongs to one loop; its connections may go to others.
// Where loops gather connections, the first has all ports, for a port on another would wake that for each connection.
func (r *Relay) openLoops(n int, hostStats bool) error {
	for range n {
		l, err := newLoop(r)
		if err != nil {
			return fmt.Errorf("event loop: %w", err)
		}
		if hostStats {
			l.hosts = newHosts()
		}
		r.loops = append(r.loops, l)
	}
	for i, p := range r.ports() {
		l := r.loops[0]
		if r.spread {
			l = r.loops[i%n]
		}
		if err := l.listen(p); err != nil {
			return fmt.Errorf("watch port %d of %s: %w", p.addr.Port(), p.addr.Addr(), err)
		}
	}
	return nil
}

// Budget is what the limit of open files allows, as it was at the start.
func (r *Relay) Budget() Budget { return r.admission.budget }

// Close gives back what Listen has taken, of a relay that has not been served: Serve returns an error from then on. Once
// Serve has been called Close does nothing; Shutdown has Serve return, which gives all back. It may be called again.
func (r *Relay) Close() error {
	if r.begun.CompareAndSwap(false, true) {
		r.abandon()
	}
	return nil
}

// abandon gives back what Listen has taken.
func (r *Relay) abandon() {
	for _, p := range r.ports() {
		if p.fd >= 0 {
			_ = kernel.Close(p.fd)
		}
	}
	for _, l := range r.loops {
		_ = l.poll.Close()
	}
}

// Serve runs the loops. It returns nil when Shutdown has done its work, or what made a loop end before. It can be called
// once, and not after Close.
func (r *Relay) Serve() error {
	if !r.begun.CompareAndSwap(false, true) {
		return errors.New("relay: Serve after Serve or Close; Listen again")
	}
	raw, release := poll.Reserve(len(r.loops))
	defer release()
	errs := make([]error, len(r.loops))
	var wg sync.WaitGroup
	for i, l := range r.loops {
		wg.Go(func() {
			if errs[i] = l.poll.Run(l, raw); errs[i] != nil {
				r.Shutdown(0)
			}
		})
	}
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { r.watchExpiry(stop) })
	watch.Go(func() { r.refreshNames(stop) })
	watch.Go(func() { r.retryPorts(stop) })
	for why := range numTurnings {
		watch.Go(func() { r.tellTurned(why, stop) })
	}
	wg.Wait()
	close(stop)
	watch.Wait()
	for _, l := range r.loops {
		l.Turn() // a connection may have been handed over to a loop that had ended
		l.closePipes()
		errs = append(errs, l.poll.Close())
	}
	return errors.Join(errs...)
}

// Shutdown stops accepting, closes connections that carry nothing, and cuts off what is left when grace has passed; 0
// and less mean at once. It returns at once and may be called again with a shorter grace. Serve returns when all is
// closed.
func (r *Relay) Shutdown(grace time.Duration) {
	now := r.clock()
	r.stopped.CompareAndSwap(0, now)
	at := now + max(int64(grace), 0)
	for _, l := range r.loops {
		l.do(func() { l.drain(at) })
	}
}

// Draining reports whether Shutdown has been called.
func (r *Relay) Draining() bool { return r.stopped.Load() != 0 }

// Times are when the relay was made, and when Shutdown was called first; zero until then.
func (r *Relay) Times() (started, stopped time.Time) {
	if at := r.stopped.Load(); at != 0 {
		stopped = r.start.Add(time.Duration(at))
	}
	return r.start, stopped
}

// clock is the loops' time of this moment. It is never 0, which means never.
func (r *Relay) clock() int64 { return int64(time.Since(r.start)) + 1 }

// Connections is the number of clients' connections that are open.
func (r *Relay) Connections() int {
	n := int64(0)
	for _, l := range r.loops {
		n += l.open.Load()
	}
	return int(n)
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	for _, f := range []struct{ have, def *time.Duration }{
		{&l.Head, &d.Head}, {&l.Idle, &d.Idle}, {&l.Dial, &d.Dial}, {&l.Reply, &d.Reply},
		{&l.Response, &d.Response}, {&l.Abandon, &d.Abandon}, {&l.KeepAlive, &d.KeepAlive},
		{&l.TunnelIdle, &d.TunnelIdle}, {&l.HalfClosed, &d.HalfClosed}, {&l.Linger, &d.Linger}, {&l.API, &d.API},
	} {
		if *f.have == 0 {
			*f.have = *f.def
		}
	}
	for _, f := range []struct{ have, def *int }{
		{&l.HeadFields, &d.HeadFields}, {&l.HeadBytes, &d.HeadBytes}, {&l.ResponseHeadBytes, &d.ResponseHeadBytes}, {&l.TargetBytes, &d.TargetBytes},
	} {
		if *f.have <= 0 {
			*f.have = *f.def
		}
	}
	return l
}
