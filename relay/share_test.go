//go:build linux && !netpoll

package relay

import (
	"context"
	"os"
	"testing"

	"proxymap/session"
)

// tunnelsOnOneLoop opens tunnels, and halts the loop that has fewer of them, at rest.
func (g *rig) tunnelsOnOneLoop(n int) (helper *loop, h halted) {
	for range n {
		g.tunnelAt(0)
	}
	helper = g.relay.loops[1]
	if helper.open.Load() > int64(n)/2 {
		helper = g.relay.loops[0]
	}
	h = halt(helper)
	helper.load.Store(0)
	return helper, h
}

// rotateAll has all of the port's tunnels closed, and sends what is wrong with it.
func (g *rig) rotateAll(want int) <-chan string {
	done := make(chan string, 1)
	go func() {
		ro := Rotation{Renew: true, OnRotate: session.CloseAll}
		switch err := g.relay.Rotate(context.Background(), g.relay.Ports()[:1], &ro); {
		case err != nil:
			done <- err.Error()
		case ro.Closed != want:
			done <- "it has not counted all"
		default:
			done <- ""
		}
	}()
	return done
}

// A loop that cuts many connections has one that is free close descriptors of theirs. The rotation is done when those are
// closed too, and none of them is closed by both.
func TestFreeLoopClosesDescriptors(t *testing.T) {
	const tunnels = 40
	g := newRig(t, func(cfg *Config) { cfg.Loops = 2 })
	helper, h := g.tunnelsOnOneLoop(tunnels)
	before := openDescriptors(t)
	served := g.relay.admission.served.Load()
	done := g.rotateAll(tunnels)
	await(t, "there is a share beside the errand", func() bool { return letters(helper) == 2 })
	if n := helper.helper.shares.Load(); n != 1 {
		t.Errorf("%d shares are counted; want 1", n)
	}
	await(t, "the loop has closed its own", func() bool { return openDescriptors(t) < before })
	select {
	case <-done:
		t.Error("the rotation is done before the share is closed")
	default:
	}
	var others []*os.File // which take the numbers that are free
	for range 2 * tunnels {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		others = append(others, f)
	}
	h <- nil
	if wrong := <-done; wrong != "" {
		t.Error(wrong)
	}
	for _, f := range others {
		if _, err := f.Stat(); err != nil {
			t.Errorf("a descriptor of somebody else's is closed: %v", err)
		}
	}
	if n := before - (openDescriptors(t) - len(others)); n != 2*tunnels {
		t.Errorf("%d descriptors are closed; want %d", n, 2*tunnels)
	}
	if n := served - g.relay.admission.served.Load(); n != tunnels {
		t.Errorf("%d places are given back; want %d", n, tunnels)
	}
	if n := helper.helper.shares.Load(); n != 0 {
		t.Errorf("%d shares are counted in the end; want none", n)
	}
}

// What a loop that has ended does not take, the one that has cut it closes itself.
func TestEndedLoopClosesNothing(t *testing.T) {
	const tunnels = 40
	g := newRig(t, func(cfg *Config) { cfg.Loops = 2 })
	helper, h := g.tunnelsOnOneLoop(tunnels)
	ended := func(is bool) {
		helper.mail.mu.Lock()
		helper.mail.ended = is
		helper.mail.mu.Unlock()
	}
	on := tunnels - int(helper.open.Load())
	before := openDescriptors(t)
	ended(true)
	wrong := <-g.rotateAll(on)
	if wrong != "" {
		t.Error(wrong)
	}
	if n := before - openDescriptors(t); n != 2*on {
		t.Errorf("%d descriptors are closed; want %d", n, 2*on)
	}
	if n := helper.helper.shares.Load(); n != 0 {
		t.Errorf("%d shares are counted; want none", n)
	}
	ended(false)
	h <- nil
}
