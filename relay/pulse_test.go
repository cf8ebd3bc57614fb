package relay

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// askTurns is AwaitTurns for who has so much time.
func askTurns(r *Relay, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return r.AwaitTurns(ctx)
}

// hang blocks a loop until the function that it returns is called.
func hang(t *testing.T, l *loop) (goOn func()) {
	t.Helper()
	blocked, release := make(chan struct{}), make(chan struct{})
	l.do(func() { close(blocked); <-release })
	select {
	case <-blocked:
	case <-time.After(patience):
		t.Fatal("the loop does not take its mail")
	}
	return func() { close(release) }
}

// One loop of two that hangs is named, however often it is asked; it gathers no questions meanwhile, and answers when it
// goes on. The other one turns all the time.
func TestAwaitTurns(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(cfg *Config) { cfg.Loops = 2 }).relay
	if err := askTurns(r, patience); err != nil {
		t.Fatalf("two idle loops: %v", err)
	}
	goOn := hang(t, r.loops[1])
	for range 3 {
		err := askTurns(r, 10*time.Millisecond)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "of 2 event loops [2] did not turn") {
			t.Errorf("the second loop hangs: %v", err)
		}
	}
	r.loops[1].mail.mu.Lock()
	questions := len(r.loops[1].mail.parcel)
	r.loops[1].mail.mu.Unlock()
	if questions != 1 {
		t.Errorf("the loop that hangs has %d questions waiting; want 1", questions)
	}
	goOn()
	if err := askTurns(r, patience); err != nil {
		t.Errorf("when it goes on: %v", err)
	}
}

// A loop that has ended with its relay does not hang, and one that nobody has started does.
func TestAwaitTurnsWithoutLoops(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.relay.Shutdown(0)
	select {
	case <-g.returned:
	case <-time.After(patience):
		t.Fatal("Serve does not return")
	}
	if err := askTurns(g.relay, patience); err != nil {
		t.Errorf("after Serve: %v", err)
	}
	r, err := Listen(Config{Mappings: []Mapping{{Address: ownAddr(), Plan: g.relay.table.Load().mappings[0].Plan, Servers: g.relay.table.Load().mappings[0].Mapping.Servers}}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := askTurns(r, time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("before Serve: %v; want the deadline's error", err)
	}
}

// An idle loop that has been asked has nothing left for which it would wake again.
func TestAwaitTurnsLeavesLoopIdle(t *testing.T) {
	t.Parallel()
	r := newRig(t).relay
	if err := askTurns(r, patience); err != nil {
		t.Fatal(err)
	}
	idle := make(chan bool, 1)
	l := r.loops[0]
	l.do(func() { idle <- l.pulse.felt.Load() == nil && l.Deadline() == 0 })
	if !<-idle {
		t.Error("the loop has a question or a deadline")
	}
}

// Requests counts those of all clients, also those that a reset of the statistics hides.
func TestRequests(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.tunnel()
	g.relay.ResetStats()
	g.tunnel()
	if n := g.relay.Requests(); n != 2 {
		t.Errorf("%d requests; want 2", n)
	}
	if n := g.relay.Stats().Requests; n != 1 {
		t.Errorf("%d requests in the statistics; want 1", n)
	}
}
