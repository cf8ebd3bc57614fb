package relay

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"proxymap/relay/internal/poll"
	"proxymap/session"
)

const (
	chaosClients = 2000
	chaosAtOnce  = 200
	chaosWild    = 4                      // ports of clients and a provider that misbehave
	chaosLimit   = 100 * time.Millisecond // every deadline of the relay
	chaosRace    = 5 * time.Second        // of seeds, under the race detector
	chaosLong    = 3 * time.Minute        // of seeds, with PROXYMAP_LONG=1

	// chaosPatience is what a wait may take at worst while hundreds of goroutines keep the loops from their processors.
	chaosPatience = 3 * patience
)

// Clients and a provider that do what they like, at random: a client beside them that behaves is served, and afterwards
// everything is back where it was. PROXYMAP_SEED=N has both ends do again what they did under that seed; who meets whom,
// and when, is the scheduler's.
func TestChaos(t *testing.T) {
	if text := os.Getenv("PROXYMAP_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("PROXYMAP_SEED is %q; it must be a number", text)
		}
		chaos(t, seed)
		return
	}
	until := time.Now() // one seed, that is
	switch {
	case longRun:
		until = until.Add(chaosLong)
	case underRace() && poll.Measures: // once is enough of it
		until = until.Add(chaosRace)
	}
	for more := true; more; more = more && time.Now().Before(until) {
		seed := rand.Uint64()
		more = t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { chaos(t, seed) })
	}
}

func chaos(t *testing.T, seed uint64) {
	t.Logf("to do this again: PROXYMAP_SEED=%d go test -run TestChaos ./relay", seed)
	kept := &keptOpen{}
	g, store := newChaosRig(t, seed, kept)
	t.Cleanup(kept.close)
	go serveHonestly(g.provider)
	awaitNothing(t, g.relay) // the loops run
	runtime.GC()             // pipes that Go's io.Copy spliced through in other tests go
	runtime.GC()
	goroutines, descriptors := runtime.NumGoroutine(), openDescriptors(t)

	var ends, witness sync.WaitGroup
	var over atomic.Bool
	w := &chaosWitness{t: t, relay: g.relay.Ports()[0].String(), rnd: rand.New(rand.NewPCG(seed, 1))}
	witness.Go(func() {
		for w.isServed() && !over.Load() {
		}
	})
	mix := &chaosMix{t: t, r: g.relay, ports: store.order, first: chaosWild + 2}
	mix.begin(seed)
	var next atomic.Int64
	for range chaosAtOnce {
		ends.Go(func() {
			for i := int(next.Add(1)); i <= chaosClients; i = int(next.Add(1)) {
				ports := g.relay.Ports()[1 : 1+chaosWild]
				conn, err := net.Dial("tcp", ports[i%len(ports)].String())
				if err != nil {
					t.Errorf("a client is not let in: %v", err)
					return
				}
				newChaosEnd(t, conn, kept, seed, uint64(2*i)).play(chaosRequests)
			}
		})
	}
	ends.Wait()
	over.Store(true)
	witness.Wait()
	mix.end()
	t.Logf("the client that behaves was served %d times, %d of them after a deadline of its own", w.served, w.late)

	await(t, "all connections are closed", func() bool { return g.relay.Connections() == 0 })
	awaitNothing(t, g.relay)
	kept.close()
	await(t, "all descriptors are closed", func() bool {
		return openDescriptors(t) <= descriptors+2*int(g.relay.pipes.open.Load())
	})
	await(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines })
	if !w.isServed() {
		t.Error("when all is over nobody is served")
	}
	endChaos(g, mix, kept, seed, descriptors, goroutines)
}

// newChaosRig makes a relay of which the first port leads to the rig's provider and the others to one that misbehaves:
// directly, behind a server that refuses, and behind one that never answers. Behind them are those of a chaosMix, whose
// provider is a third.
func newChaosRig(t *testing.T, seed uint64, kept *keptOpen) (*rig, *chaosStore) {
	t.Helper()
	provider, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { provider.Close() })
	go func() {
		for i := uint64(0); ; i++ {
			conn, err := provider.Accept()
			if err != nil {
				return
			}
			go newChaosEnd(t, conn, kept, seed, 2*i+3).play(chaosResponses)
		}
	}()
	bad := serverAt(provider.Addr())
	dead, silent := deadServer(t), silentServer(t)
	mixed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mixed.Close() })
	go serveMixed(mixed)
	store := &chaosStore{ports: map[netip.AddrPort]*chaosPort{}, calm: func(i int) bool { return i == 0 || i > chaosWild }}
	g := newRig(t, func(cfg *Config) {
		for i, servers := range [chaosWild][]Server{{bad}, {bad}, {dead, bad}, {silent, bad}} {
			m := cfg.Mappings[0]
			m.Servers = servers
			m.Plan = newPlan(t, session.PlanConfig{Lifetime: 100 * time.Millisecond})
			m.OnRotate = []session.OnRotate{session.Keep, session.Drain, session.CloseAll, session.CloseAll}[i]
			m.DrainTime, m.IdleLifetime, m.MaxRequests = chaosLimit/4, chaosLimit/2, 50
			m.RotateOn = []Signal{{Status: []int{407, 413}, Errors: ErrorRefused | ErrorTimeout | ErrorReset, Count: 2, Within: time.Minute}}
			cfg.Mappings = append(cfg.Mappings, m)
		}
		cfg.Mappings[2].Plan = newPlan(t, session.PlanConfig{}) // each connection a session of its own
		cfg.Mappings = append(cfg.Mappings, mixedMappings(t, cfg.Mappings[0], mixed.Addr())...)
		limit := chaosLimit
		cfg.Limits = Limits{Head: limit, Idle: limit, Dial: 2 * limit, Reply: limit, Response: limit, Abandon: limit / 2, TunnelIdle: limit, HalfClosed: limit, Linger: limit, API: limit}
		cfg.Store = store
		cfg.Loops = 3
		cfg.spread = seed%2 == 0
	}, withAPI("portmapper"))
	return g, store
}

var (
	bulk = strings.Repeat("0123456789abcdef", 20_000)

	// chaosRequests are what clients begin with, and go on with. In a tunnel, and as content, they are but bytes.
	chaosRequests = chaosMessages(
		get,
		get+get+post4+"body"+get,
		connect,
		connect+"more",
		post4+"body",
		fmt.Sprintf("PUT http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: %d\r\n\r\n", len(bulk))+bulk,
		"POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"+get,
		"POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
		"HEAD http://example.com/ HTTP/1.1\r\nHost: other.example\r\n\r\n",
		"GET http://example.com/ HTTP/1.0\r\n\r\n",
		"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
		"GET http://portmapper/session/new?country=de HTTP/1.1\r\nHost: portmapper\r\n\r\n",
		renewSession+"?on_rotate=close HTTP/1.1\r\nHost: portmapper\r\n\r\n",
		resetSession+"?on_rotate=drain HTTP/1.1\r\nHost: portmapper\r\n\r\n"+get,
		"GET http://portmapper/session/reset HTTP/1.1\r\nHost: portmapper\r\n\r\n"+get,
		"POST http://portmapper/session/new HTTP/1.1\r\nHost: portmapper\r\nContent-Length: 41\r\n\r\n{\"UsernameParameters\": {\"country\": \"de\"}}",
		"CONNECT portmapper:80 HTTP/1.1\r\nHost: portmapper:80\r\n\r\nGET /session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n",
		"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nX: "+bulk[:40_000]+"\r\n\r\n",
		"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		bulk,
	)

	// chaosResponses are the same for the provider.
	chaosResponses = chaosMessages(
		ok,
		ok+ok,
		reply4+"body",
		fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(bulk))+bulk,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nabc\r\n",
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n"+bulk,
		"HTTP/1.1 100 Continue\r\n\r\n"+reply4+"body",
		strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", maxInformational+1),
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
		"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n",
		"no response at all\r\n\r\n",
		bulk,
	)
)

func chaosMessages(list ...string) (messages [][]byte) {
	for _, m := range list {
		messages = append(messages, []byte(m))
	}
	return messages
}

// A chaosEnd is an end of a connection that does what it likes.
type chaosEnd struct {
	t    *testing.T
	conn *net.TCPConn
	rnd  *rand.Rand
	kept *keptOpen
}

// keptOpen are connections that their ends do not close even after the relay's FIN.
type keptOpen struct {
	mu    sync.Mutex
	conns []net.Conn
	over  bool
}

func (k *keptOpen) add(conn net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.conns = append(k.conns, conn); k.over {
		conn.Close()
	}
}

func (k *keptOpen) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.over = true
	for _, conn := range k.conns {
		conn.Close()
	}
}

func newChaosEnd(t *testing.T, conn net.Conn, kept *keptOpen, seed, stream uint64) *chaosEnd {
	return &chaosEnd{t, conn.(*net.TCPConn), rand.New(rand.NewPCG(seed, stream)), kept}
}

// play lives the end's life. When the relay has sent its FIN, the end may keep its own side open for good.
func (e *chaosEnd) play(messages [][]byte) {
	_ = e.conn.SetDeadline(time.Now().Add(chaosPatience))
	if stays := e.act(messages); stays && e.rnd.IntN(2) == 0 {
		e.kept.add(e.conn)
		return
	}
	e.conn.Close()
}

// act sends some messages, whole or up to somewhere, and goes on or goes wrong there. It reports whether the connection
// still stands for the end to close.
func (e *chaosEnd) act(messages [][]byte) (stays bool) {
	for range 1 + e.rnd.IntN(5) {
		m := messages[e.rnd.IntN(len(messages))]
		if e.rnd.IntN(3) == 0 {
			m = m[:e.rnd.IntN(len(m))]
		}
		if e.rnd.IntN(2) == 0 && !e.listen() || !e.send(m) {
			return false
		}
		switch e.rnd.IntN(12) {
		case 0:
			_ = e.conn.SetLinger(0)
			return false
		case 1:
			_ = e.conn.CloseWrite()
		case 2:
			garbage := make([]byte, 1+e.rnd.IntN(1000))
			for i := range garbage {
				garbage[i] = byte(e.rnd.Uint32())
			}
			_, _ = e.conn.Write(garbage)
		case 3:
			time.Sleep(time.Duration(e.rnd.Int64N(int64(2 * chaosLimit)))) // it reads nothing meanwhile
		case 4:
			return false // what has not been read is reset away
		}
	}
	return e.rnd.IntN(4) > 0 && e.stop()
}

// listen reads what comes within a moment. It reports whether the connection goes on.
func (e *chaosEnd) listen() bool {
	var buf [4096]byte
	_ = e.conn.SetReadDeadline(time.Now().Add(time.Duration(e.rnd.IntN(20)) * time.Millisecond))
	_, err := e.conn.Read(buf[:])
	return err == nil || errors.Is(err, os.ErrDeadlineExceeded)
}

// send sends m, now and then in drops.
func (e *chaosEnd) send(m []byte) bool {
	if e.rnd.IntN(4) == 0 {
		for range e.rnd.IntN(6) {
			n := e.rnd.IntN(len(m)/4 + 1)
			if _, err := e.conn.Write(m[:n]); err != nil {
				return false
			}
			m = m[n:]
			time.Sleep(time.Duration(e.rnd.IntN(5)) * time.Millisecond)
		}
	}
	_, err := e.conn.Write(m)
	return err == nil
}

// stop does nothing any more, and waits for the relay to lose its patience. It reports whether that said so by a FIN.
func (e *chaosEnd) stop() bool {
	_ = e.conn.SetReadDeadline(time.Now().Add(chaosPatience))
	_, err := io.Copy(io.Discard, e.conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		e.t.Errorf("%v after an end stopped, its connection %v - %v is still open", chaosPatience, e.conn.LocalAddr(), e.conn.RemoteAddr())
	}
	return err == nil
}

// serveHonestly is a provider that answers each request with its own content, and sends back what comes in a tunnel.
func serveHonestly(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			r := bufio.NewReader(conn)
			for {
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				if req.Method == http.MethodConnect {
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
					_, _ = io.Copy(struct{ io.Writer }{conn}, r) // which does not splice, and so opens no pipes of Go's own
					return
				}
				content, err := io.ReadAll(req.Body)
				if err != nil {
					return
				}
				if req.Header.Get("Proxy-Authorization") == "" {
					content = []byte("no credentials")
				}
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(content))
				if req.Header.Get("X-Drops") != "" {
					_, _ = conn.Write(content[:len(content)/2])
					content = content[len(content)/2:]
					time.Sleep(chaosLimit / 10)
				}
				_, _ = conn.Write(content)
			}
		}()
	}
}

// A chaosWitness is a client that behaves, and checks that it gets its own bytes and all of them.
type chaosWitness struct {
	t            *testing.T
	relay        string
	rnd          *rand.Rand
	served, late int
}

// isServed goes through the relay once. On a machine as busy as this the witness, or its provider, may miss a deadline;
// then it tries again, for a while. What goes wrong long before a deadline is a fault.
func (w *chaosWitness) isServed() bool {
	content := make([]byte, 1+w.rnd.IntN(100_000))
	for i := range content {
		content[i] = byte(w.rnd.Uint32())
	}
	for end := time.Now().Add(chaosPatience); ; {
		began := time.Now()
		err := w.try(content)
		took := time.Since(began)
		if err == nil {
			w.served++
			return true
		}
		if took < chaosLimit/2 || errors.Is(err, errWrong) || time.Now().After(end) {
			w.t.Errorf("the client that behaves, after %v: %v", took, err)
			return false
		}
		w.late++
	}
}

var errWrong = errors.New("wrong bytes")

// try sends content with two requests and looks at the session between them, or sends it through a tunnel.
func (w *chaosWitness) try(content []byte) error {
	conn, err := net.Dial("tcp", w.relay)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(chaosPatience))
	r := bufio.NewReader(conn)
	if len(content)%2 == 0 {
		return w.tunnel(conn.(*net.TCPConn), r, content)
	}
	put := fmt.Sprintf("PUT http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: %d\r\n\r\n%s", len(content), content)
	look := "GET http://portmapper/session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n"
	for _, request := range []string{put, look, put} {
		if _, err := io.WriteString(conn, request); err != nil {
			return err
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		got, err := io.ReadAll(res.Body)
		switch {
		case err == nil && (res.StatusCode == 408 || res.StatusCode == 504):
			return errors.New(res.Status)
		case res.StatusCode != 200 || request == look && !bytes.HasPrefix(got, []byte("{\n")) || request == put && !bytes.HasPrefix(content, got):
			return fmt.Errorf("%w: %s, %.200q", errWrong, res.Status, got)
		case err != nil:
			return err
		}
	}
	return nil
}

func (w *chaosWitness) tunnel(conn *net.TCPConn, r *bufio.Reader, content []byte) error {
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(append([]byte(connect), content...))
		sent <- errors.Join(err, conn.CloseWrite())
	}()
	const granted = "HTTP/1.1 200 OK\r\n\r\n"
	got, err := io.ReadAll(r)
	if want := append([]byte(granted), content...); !bytes.HasPrefix(want, got) && !bytes.HasPrefix(got, []byte("HTTP/1.1 504 ")) {
		err = fmt.Errorf("%w: %d of them, %.200q", errWrong, len(got), got)
	} else if err == nil && len(got) != len(want) {
		err = fmt.Errorf("%d bytes of %d", len(got), len(want))
	}
	conn.Close()
	return errors.Join(err, <-sent)
}

// awaitNothing waits until the relay, which has no connections, holds nothing else.
func awaitNothing(t *testing.T, r *Relay) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		left, idle := "", 0
		for i, l := range r.loops {
			done := make(chan struct{})
			l.do(func() {
				if s := leftovers(l); s != "" {
					left = fmt.Sprintf("loop %d: %s", i, s)
				}
				idle += len(l.pipes.idle)
				close(done)
			})
			<-done
		}
		if p := &r.pipes; left == "" && (int(p.open.Load()) != idle || p.stalled.Load() != 0 || p.readOut.Load() != 0) {
			left = fmt.Sprintf("%d pipes are open, %d idle, %d stalled, %d read out", p.open.Load(), idle, p.stalled.Load(), p.readOut.Load())
		}
		if left == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("when all have gone there is still something left: %s", left)
		}
	}
}

// leftovers says what a loop without connections still holds.
func leftovers(l *loop) string {
	for _, held := range []struct {
		what string
		n    int
	}{
		{"timers", len(l.timers.heap)},
		{"connections in the table", len(l.conns) - len(l.free)},
		{"connections counted", int(l.open.Load())},
		{"exchanges", l.exchanges},
		{"connections to be run", len(l.runnable) - l.ran},
		{"descriptors to be closed", len(l.closing)},
		{"blocked pipes", len(l.pipes.blocked)},
		{"paused listeners", len(l.paused)},
	} {
		if held.n != 0 {
			return fmt.Sprintf("%d %s", held.n, held.what)
		}
	}
	for _, c := range l.conns {
		if c == nil {
			continue
		}
		if !c.in.empty() || !c.toClient.empty() || !c.toUpstream.empty() || c.toClient.pipe != nil || c.toUpstream.pipe != nil || !c.creds.empty() || c.x != nil {
			return fmt.Sprintf("connection %d holds memory", c.index)
		}
	}
	for _, x := range l.spare {
		if !x.head.empty() || !x.partial.empty() || !x.out.heard.empty() || x.api != nil {
			return "a spare exchange holds memory"
		}
	}
	return ""
}
