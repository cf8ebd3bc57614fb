package relay

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"proxymap/session"
)

// A halted loop does nothing until it is let go.
type halted chan func()

// halt stops a loop between two events.
func halt(l *loop) halted {
	h, stands := make(halted), make(chan struct{})
	l.do(func() {
		close(stands)
		if last := <-h; last != nil {
			last()
		}
	})
	<-stands
	return h
}

// settle waits until a loop has done what it has been sent, and what it sends itself by that.
func settle(l *loop) {
	for range 3 {
		done := make(chan struct{})
		l.do(func() { close(done) })
		<-done
	}
}

// letters is how many parcels wait for a loop.
func letters(l *loop) int {
	l.mail.mu.Lock()
	defer l.mail.mu.Unlock()
	return len(l.mail.parcel)
}

// hand gives the quiet tunnel of the loop that is running to another.
func hand(from, to *loop) {
	for _, c := range from.conns {
		if c != nil && c.stage == stageTunnel && c.quiet() {
			from.gather.give, from.gather.giveTo = 1, to
			from.giveAway(c)
			return
		}
	}
}

// apart are the loop that has the tunnel, and the other.
func apart(r *Relay) (with, without *loop) {
	with, without = r.loops[0], r.loops[1]
	have := make(chan bool)
	without.do(func() {
		for _, c := range without.conns {
			if c != nil && c.stage == stageTunnel {
				have <- true
				return
			}
		}
		have <- false
	})
	if <-have {
		with, without = without, with
	}
	return with, without
}

// A rotation reaches a connection whatever loops it is handed over between, and when.
func TestRotationReachesConnectionsBetweenLoops(t *testing.T) {
	const keep, drain, closes = session.Keep, session.Drain, session.CloseAll
	for _, row := range []struct {
		name      string
		calls     []session.OnRotate
		drainTime time.Duration
		stays     bool
	}{
		{name: "close", calls: []session.OnRotate{closes}},
		{name: "drain", calls: []session.OnRotate{drain}},
		{name: "drain, then close", calls: []session.OnRotate{drain, closes}, drainTime: time.Hour},
		{name: "close, then drain", calls: []session.OnRotate{closes, drain}, drainTime: time.Hour},
		{name: "close, then keep", calls: []session.OnRotate{closes, keep}},
		{name: "keep, then close", calls: []session.OnRotate{keep, closes}},
		{name: "drain with time left", calls: []session.OnRotate{drain}, drainTime: time.Hour, stays: true},
		{name: "keep", calls: []session.OnRotate{keep}, stays: true},
	} {
		for name, handOver := range map[string]func(r *Relay, calls []session.OnRotate) error{
			"handed over twice": handTwice, "on its way when all have looked": handLate,
		} {
			t.Run(row.name+", "+name, func(t *testing.T) {
				g := newRig(t, func(cfg *Config) {
					cfg.Loops = 2
					cfg.Mappings[0].DrainTime = row.drainTime
				})
				client, provider := g.tunnel()
				if err := handOver(g.relay, row.calls); err != nil {
					t.Fatal(err)
				}
				if !row.stays {
					client.expectReset()
					provider.expectReset()
					return
				}
				client.send("x")
				provider.expect("x")
			})
		}
	}
}

// handTwice hands the tunnel on from a loop that has not looked yet to one that has, and back when the first has looked.
func handTwice(r *Relay, calls []session.OnRotate) error {
	return handOver(r, calls, func(from, to *loop) {
		hand(from, to)
		to.do(func() { hand(to, from) })
	})
}

// handLate hands it on once, so late that all loops may have looked when it arrives.
func handLate(r *Relay, calls []session.OnRotate) error { return handOver(r, calls, hand) }

// handOver makes the calls, and has give hand the tunnel on when the other loop has looked, and this one has not.
func handOver(r *Relay, calls []session.OnRotate, give func(from, to *loop)) error {
	from, to := apart(r)
	fromHalted, toHalted := halt(from), halt(to)
	var answered atomic.Bool
	failed := make(chan error, 1)
	go func() {
		defer answered.Store(true)
		for _, how := range calls {
			if err := r.Rotate(context.Background(), r.Ports()[:1], &Rotation{Renew: true, OnRotate: how}); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	wait := func(cond func() bool) {
		for !answered.Load() && !cond() {
			time.Sleep(time.Millisecond)
		}
	}
	wait(func() bool { return letters(from) > 0 && letters(to) > 0 })
	toHalted <- nil
	settle(to)
	toHalted = halt(to)
	before := make(chan int, 1)
	fromHalted <- func() { give(from, to); before <- letters(to) }
	least := <-before
	wait(func() bool { return letters(to) > least })
	settle(from)
	toHalted <- nil
	settle(to)
	settle(from)
	return <-failed
}

// A loop that has cut off what was left when it drained cuts off what comes to it later.
func TestTakeOverAfterTheCutOff(t *testing.T) {
	g := newRig(t, func(cfg *Config) { cfg.Loops = 2 })
	client, provider := g.tunnel()
	from, to := apart(g.relay)
	to.do(func() {
		to.drain(0)
		to.cutOff()
		given := make(chan struct{})
		from.do(func() { hand(from, to); close(given) })
		<-given // so the loop does not end yet
	})
	client.expectReset()
	provider.expectReset()
}
