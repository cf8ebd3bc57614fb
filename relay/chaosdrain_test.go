package relay

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"proxymap/session"
)

const (
	chaosGrace  = 2 * chaosLimit // of the drain: longer than a request takes that misses no deadline
	chaosSteady = 20             // clients that behave, at a port that nothing rotates
)

// endChaos shuts the relay down with a grace while clients of all kinds come, callers rotate and connections change loops,
// and checks that all of it ends, in time, and leaves nothing. descriptors and goroutines are those of the idle relay.
func endChaos(g *rig, before *chaosMix, kept *keptOpen, seed uint64, descriptors, goroutines int) {
	t, r := g.t.(*testing.T), g.relay
	mix := &chaosMix{t: t, r: r, ports: before.ports, first: before.first}
	mix.begin(seed + 1)
	s := &chaosSteadies{mix: mix, relay: r.Ports()[0].String()}
	var wild sync.WaitGroup
	for i := range chaosAtOnce {
		wild.Go(func() { s.comeWild(t, r.Ports()[1+i%chaosWild].String(), kept, seed, uint64(i)) })
	}
	for range chaosSteady {
		wild.Go(func() {
			for !mix.over.Load() && s.ask() {
			}
		})
	}
	await(t, "all kinds of clients are served", func() bool {
		return s.served.Load() > chaosSteady && mix.plain.Load() > 0 && mix.tunnelled.Load() > 0 && mix.closes.Load() > 0
	})

	s.shut.Store(true)
	mix.graceEnds.Store(time.Now().Add(chaosGrace).UnixNano())
	atShutdown := s.served.Load()
	r.Shutdown(chaosGrace)
	select {
	case <-g.returned:
	case <-time.After(chaosGrace + chaosPatience):
		t.Fatalf("Serve has not returned %v after the end of the grace of %v; %d connections are open", chaosPatience, chaosGrace, r.Connections())
	}
	ctx, cancel := context.WithTimeout(context.Background(), chaosPatience)
	defer cancel()
	if err := r.Rotate(ctx, r.Ports()[mix.first:mix.first+1], &Rotation{OnRotate: session.CloseAll}); errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a rotation of a relay that has ended does not end: %v", err)
	}
	mix.end()
	wild.Wait()
	t.Logf("drained: %d answers came whole before, %d in the grace", atShutdown, s.served.Load()-atShutdown)
	checkEnded(t, r, descriptors, goroutines)
}

// checkEnded reports what a relay that has ended still holds.
func checkEnded(t *testing.T, r *Relay, descriptors, goroutines int) {
	t.Helper()
	for i, l := range r.loops {
		if s := leftovers(l); s != "" {
			t.Errorf("loop %d has ended and holds %s", i, s)
		}
	}
	if n := r.pipes.open.Load(); n != 0 {
		t.Errorf("%d pipes are open after the relay's end", n)
	}
	if a := &r.admission; a.served.Load() != 0 || a.reserved.Load() != 0 {
		t.Errorf("%d connections and %d of the reserve have places after the relay's end", a.served.Load(), a.reserved.Load())
	}
	await(t, "the descriptors of the ports and the loops are closed too", func() bool {
		return openDescriptors(t) <= descriptors-len(r.ports())-len(r.loops)
	})
	await(t, "the goroutines of the loops have ended too", func() bool { return runtime.NumGoroutine() <= goroutines-len(r.loops) })
}

// chaosSteadies are clients that behave, at a port where no rotation cuts anybody.
type chaosSteadies struct {
	mix    *chaosMix
	relay  string
	shut   atomic.Bool // the relay may refuse who comes
	served atomic.Int64
}

// comeWild sends clients that do what they like until the relay lets nobody in.
func (s *chaosSteadies) comeWild(t *testing.T, relay string, kept *keptOpen, seed, stream uint64) {
	for i := stream; !s.mix.over.Load(); i += chaosAtOnce {
		conn, err := net.DialTimeout("tcp", relay, chaosPatience)
		if err != nil {
			if !s.shut.Load() {
				t.Errorf("a client is not let in: %v", err)
			}
			return
		}
		newChaosEnd(t, conn, kept, seed, 1<<40+i).play(chaosRequests)
	}
}

// ask asks over one connection until that ends, which it may between two answers. An answer that has begun comes whole,
// unless a deadline has passed or the grace has. It reports whether there is a port to come back to.
func (s *chaosSteadies) ask() bool {
	conn, err := net.DialTimeout("tcp", s.relay, chaosPatience)
	if err != nil {
		return !s.shut.Load()
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(chaosPatience))
	r := bufio.NewReader(conn)
	for {
		began := time.Now()
		if _, err := io.WriteString(conn, "POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nX-Drops: 1\r\nContent-Length: 8\r\n\r\nabcdefgh"); err != nil {
			return true
		}
		if _, err := r.Peek(1); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				s.mix.t.Errorf("a request is neither answered nor cut: %v", err)
			}
			return true
		}
		res, err := http.ReadResponse(r, nil)
		var content []byte
		if err == nil {
			content, err = io.ReadAll(res.Body)
		}
		switch took := time.Since(began); {
		case err != nil:
			if took < chaosLimit/2 && !s.mix.mayCut() {
				s.mix.t.Errorf("an answer is cut %v after the request, before the grace is over: %v", took, err)
			}
			return true
		case res.StatusCode != 200 && took >= chaosLimit/2:
			return true // a deadline's answer
		case res.StatusCode != 200 || string(content) != "abcdefgh":
			s.mix.t.Errorf("a client that behaves got %s, %q", res.Status, content)
			return true
		}
		s.served.Add(1)
	}
}
