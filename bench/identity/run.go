//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	rotators   = 4
	callPauses = 60 * time.Millisecond // between two calls of a rotator, at most

	calmPeriod  = 5 * time.Second // of which the load is calm for
	calmTime    = time.Second     // so that loops come to rest, and connections move on to others
	pausePeriod = 4 * time.Second // of which ports that pause do so for
	pauseTime   = 2 * time.Second

	quietPeriod = 9 * time.Second
	quietTime   = 6 * time.Second

	killPeriod = 4 * time.Second        // between two
	restTime   = 500 * time.Millisecond // before every other one: ports are sure of their sessions then
	drainLimit = 15 * time.Second

	grace    = 5 * time.Second
	keepTime = 3 * time.Second // "within a second", on a machine that is busy
)

// A run is proxymap under load, and what is known of it.
type run struct {
	opts     *options
	bed      *bed
	model    *Model
	clock    *clock
	sabotage *saboteur
	clients  []*client

	gate    sync.RWMutex // held for reading by whoever uses the relay, for writing while there is none
	ended   atomic.Bool
	killing atomic.Bool
	calm    atomic.Bool
	resting atomic.Bool // no call changes a session
	events  chan error  // how the stream of events has ended

	requests, messages, tunnels, cuts, stale atomic.Int64

	mu     sync.Mutex
	counts map[string]int64 // rotations by kind
	errors int64
	first  error
	kills  int
	sure   int // ports that could have had one session alone, behind kills
}

func newRun(o *options) (*run, error) {
	r := &run{opts: o, clock: startClock(), sabotage: &saboteur{kind: o.Sabotage}, counts: map[string]int64{}}
	var err error
	if r.bed, err = newBed(o, r.observe); err != nil {
		return nil, err
	}
	var policies []Policy
	var names []string
	for i := range r.bed.ports() {
		policies = append(policies, r.bed.mapping(i).Policy)
		names = append(names, fmt.Sprintf("%d (%s)", firstPort+i, r.bed.mapping(i).name))
	}
	r.model = NewModel(Times{Drain: drainTime, Grace: grace, Keep: keepTime}, policies, names)
	for i := range r.bed.ports() * len(uses) {
		r.clients = append(r.clients, &client{
			run: r, index: i, port: i / len(uses), use: uses[i%len(uses)], rng: rand.New(rand.NewPCG(o.Seed, uint64(i))),
		})
	}
	return r, nil
}

// over reports whether the run is.
func (r *run) over() bool { return r.ended.Load() }

// fail notes an error that is no violation.
func (r *run) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.errors++; r.first == nil {
		r.first = err
	}
}

func (r *run) count(kind string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[kind]++
}

// begin starts the relay and listens to its events.
func (r *run) begin() error {
	if err := r.bed.start(); err != nil {
		return err
	}
	stream, err := readEvents(r.bed.admin())
	if err != nil {
		return err
	}
	// Nobody uses the relay yet, so what it has it has from its state file, or it has ended by itself.
	got, err := r.list("GET /sessions")
	if err != nil {
		return err
	}
	sure := 0
	for _, s := range got.Sessions {
		if r.kills > 0 && r.model.Found(s.Port-firstPort, textOf(s.ID), r.clock.now.Load()) {
			sure++
		}
	}
	r.mu.Lock()
	r.sure += sure
	r.mu.Unlock()
	r.events = make(chan error, 1)
	go func() { r.events <- stream.each(r.told) }()
	return nil
}

// told passes an event on to the model.
func (r *run) told(d eventData) {
	kind := d.Reason
	if strings.HasPrefix(kind, "status") {
		kind = "signal"
	}
	r.count("event: " + kind)
	e := Event{Port: d.Port - firstPort, Old: textOf(d.Old), New: textOf(d.New), Reason: d.Reason}
	for _, e := range r.sabotage.events(e) {
		r.model.Told(e, r.clock.now.Load())
	}
}

// kill kills the relay while it is at work, and starts it again.
func (r *run) kill() error {
	r.killing.Store(true)
	defer r.killing.Store(false)
	r.bed.process.Kill()
	r.gate.Lock() // all have noticed
	defer r.gate.Unlock()
	if err := <-r.events; err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	for _, p := range r.bed.providers {
		if err := p.WaitOpen(ctx, 0); err != nil {
			return fmt.Errorf("provider, after the relay was killed: %w", err)
		}
	}
	r.mu.Lock()
	r.kills++
	r.mu.Unlock()
	r.model.Killed(r.clock.now.Load())
	return r.begin()
}

// load has all clients and rotators work until enough has been done, and reports how long that took.
func (r *run) load() (time.Duration, error) {
	var all sync.WaitGroup
	for _, c := range r.clients {
		all.Go(c.work)
	}
	for i := range rotators {
		all.Go(func() { r.rotate(1<<32 + uint64(i)) })
	}
	began := time.Now()
	err := r.watch(began)
	took := time.Since(began)
	r.ended.Store(true)
	if !waitFor(&all, 2*callTime) {
		return took, errors.Join(err, errors.New("the clients do not come to their end"))
	}
	return took, err
}

// waitFor waits for a group that long.
func waitFor(group *sync.WaitGroup, most time.Duration) bool {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(most):
		return false
	}
}

// watch looks at the run until it is over.
func (r *run) watch(began time.Time) error {
	last, lastAt, killAt := int64(0), time.Now(), began.Add(killPeriod)
	for {
		time.Sleep(50 * time.Millisecond)
		now := time.Now()
		r.calm.Store(r.opts.calm || now.Sub(began)%calmPeriod > calmPeriod-calmTime)
		r.resting.Store(r.opts.Kill && r.kills%2 == 0 && now.After(killAt.Add(-restTime)))
		r.model.Passes(r.clock.now.Load())
		done := r.requests.Load()
		switch {
		case r.isDone(done, now.Sub(began)):
			return nil
		case done != last:
			last, lastAt = done, now
		case now.Sub(lastAt) > callTime:
			return fmt.Errorf("nothing has been answered for %v", callTime)
		}
		if _, n := r.model.Violations(); n >= maxViolations || n > 0 && r.opts.Sabotage != "" {
			return nil
		}
		select {
		case err := <-r.events:
			return errors.Join(errors.New("the stream of events has ended"), err)
		default:
		}
		if r.opts.Kill && now.After(killAt) {
			killAt = now.Add(killPeriod)
			if err := r.kill(); err != nil {
				return err
			}
		}
	}
}

// isDone reports whether so many requests in that time are what was wanted. Where some kind of rotation has not come to be yet,
// it goes on, but not for more than as long again.
func (r *run) isDone(requests int64, took time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.opts.Requests > 0 {
		return requests >= r.opts.Requests
	}
	return took >= r.opts.Time && (took >= 2*r.opts.Time || len(r.missing()) == 0)
}

// settle waits until nothing is open any more, or what is open is wrong.
func (r *run) settle() {
	for end := time.Now().Add(2 * grace); time.Now().Before(end); time.Sleep(tickTime) {
		sessions, checks := r.model.Waiting()
		if _, n := r.model.Violations(); n > 0 || sessions == 0 && checks == 0 {
			return
		}
		r.model.Passes(r.clock.now.Load())
	}
}

// wanted are the rotations that there must be at least one of, or too little was done.
func wanted() (kinds []string) {
	for _, what := range []string{"new", "reset"} {
		for _, how := range []How{Keep, Drain, Close} {
			for _, by := range []string{"port", "admin"} {
				kinds = append(kinds, fmt.Sprintf("%s %s by %s", what, how, by))
			}
		}
	}
	for _, reason := range []string{"new", "reset", "traffic", "expired", "requests", "idle", "signal"} {
		kinds = append(kinds, "event: "+reason)
	}
	return append(kinds, "looked at by port", "looked at by admin")
}

// missing says what of the work was not done. r.mu is held.
func (r *run) missing() (faults []string) {
	for _, kind := range wanted() {
		if r.counts[kind] == 0 {
			faults = append(faults, "too little was done: no "+kind)
		}
	}
	for name, n := range map[string]int64{"requests": r.requests.Load(), "messages": r.messages.Load(), "tunnels": r.tunnels.Load()} {
		if n < leastDone {
			faults = append(faults, fmt.Sprintf("too little was done: %d %s; want %d", n, name, leastDone))
		}
	}
	if r.opts.Kill && (r.kills == 0 || r.sure == 0) {
		faults = append(faults, fmt.Sprintf("too little was done: %d kills, behind which %d ports could have had one session alone", r.kills, r.sure))
	}
	slices.Sort(faults)
	return faults
}

const (
	leastDone  = 100
	mostErrors = 1000 // one of so many requests may have another answer than expected
)

// report prints what was done and says what is wrong.
func (r *run) report(w io.Writer, took time.Duration, err error) error {
	first, count := r.model.Violations()
	r.mu.Lock()
	defer r.mu.Unlock()
	done := r.requests.Load()
	fmt.Fprintf(w, "seed %d: %d requests in %v, %.0f a second; %d of them messages in %d tunnels; %d connections were cut; %d sessions\n",
		r.opts.Seed, done, took.Round(time.Millisecond), float64(done)/took.Seconds(), r.messages.Load(), r.tunnels.Load(), r.cuts.Load(), r.model.Known())
	if r.opts.Kill {
		fmt.Fprintf(w, "%d kills; behind them %d ports could have had one session alone\n", r.kills, r.sure)
	}
	for _, kind := range slices.Sorted(maps.Keys(r.counts)) {
		fmt.Fprintf(w, "%9d %s\n", r.counts[kind], kind)
	}
	fmt.Fprintf(w, "%d sightings came too late to be compared with what was known when they were asked for\n", r.stale.Load())
	if r.errors > 0 {
		fmt.Fprintf(w, "%d errors, the first: %v\n", r.errors, r.first)
	}
	for _, v := range first {
		fmt.Fprintln(w, v)
	}
	faults := r.missing()
	if err != nil {
		faults = append(faults, err.Error())
	}
	if r.errors > done/mostErrors {
		faults = append(faults, fmt.Sprintf("%d errors with %d requests, the first: %v", r.errors, done, r.first))
	}
	if count > 0 {
		faults = append(faults, fmt.Sprintf("%d violations", count))
	}
	if len(faults) > 0 {
		return errors.New(strings.Join(faults, "\nidentity: "))
	}
	return nil
}

// healthy waits until the admin listener says that the relay serves.
func (b *bed) healthy() error {
	if err := b.process.Await(b.admin()); err != nil {
		return err
	}
	for end := time.Now().Add(callTime); ; time.Sleep(tickTime) {
		err := b.health()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

func (b *bed) health() error {
	l, err := dial(b.admin())
	if err != nil {
		return err
	}
	defer l.end(true)
	if err := l.send("GET /healthz HTTP/1.1\r\nHost: " + b.admin().String() + "\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	a, err := l.answer(false)
	if err == nil && a.status != 200 {
		err = unexpected("/healthz", a)
	}
	if err != nil {
		return err
	}
	conn, err := net.DialTimeout("tcp", b.port(b.ports()-1).String(), callTime)
	if err != nil {
		return err
	}
	return conn.Close()
}
