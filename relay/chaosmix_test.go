package relay

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"proxymap/session"
)

// A chaosPort is what is known of a port's sessions from what its store was told.
type chaosPort struct {
	addr  netip.AddrPort
	slot  *session.Slot
	calm  bool // its store confirms at once
	mu    sync.Mutex
	list  []session.Event
	made  uint64            // number of the last session that was told of
	index map[string]uint64 // numbers of sessions, by id

	closed atomic.Uint64 // sessions below that number were over when a close was answered 200
}

// newest is the number of the last session that anybody was told of, or may have met.
func (p *chaosPort) newest() uint64 {
	last := p.slot.Last() // read first: what it hides by having gone is in the list
	p.mu.Lock()
	defer p.mu.Unlock()
	if last != nil {
		return max(p.made, last.Number())
	}
	return p.made
}

// oldest is the number of the oldest session that a request sent from now on may go under.
func (p *chaosPort) oldest() uint64 {
	p.mu.Lock()
	made := p.made
	p.mu.Unlock()
	if s := p.slot.Peek(time.Now().Add(-time.Second).UnixNano()); s != nil { // loops' clocks are behind
		return s.Number()
	}
	return made + 1
}

// number is that of the session with the id; 0: nobody was told of it.
func (p *chaosPort) number(id string) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.index[id]
}

// check reports what is wrong with the order of the port's events. Each session begins once, behind the end of the one
// before, and ends once.
func (p *chaosPort) check(t *testing.T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var current *session.Session
	over := false // it has expired
	for i, e := range p.list {
		wrong := ""
		c := e.Change
		switch {
		case c.Old != current:
			wrong = "another session was the port's"
		case e.Reason == session.ReasonExpired && (over || c.New != nil):
			wrong = "it was over"
		case e.Reason == session.ReasonTraffic && current != nil && !over:
			wrong = "the one before has not ended"
		case c.New != nil && current != nil && !over && c.New.Number() != current.Number()+1:
			wrong = "sessions are missing between the two"
		}
		if wrong != "" {
			t.Errorf("port %d, event %d of %d: %+v: %s", p.addr.Port(), i, len(p.list), e, wrong)
			return
		}
		if over = e.Reason == session.ReasonExpired; !over {
			current = c.New
		}
	}
}

// chaosStore hears of all changes. It confirms at once, late, too late, or never, in turn; for calm ports always at once.
type chaosStore struct {
	storeOfNothing
	calls atomic.Uint32
	calm  func(i int) bool // the i-th port is
	ports map[netip.AddrPort]*chaosPort
	order []*chaosPort
}

func (s *chaosStore) Load(port netip.AddrPort, slot *session.Slot, _ []string) {
	p := &chaosPort{addr: port, slot: slot, calm: s.calm(len(s.order)), index: map[string]uint64{}}
	s.order = append(s.order, p)
	s.ports[port] = p
}

func (s *chaosStore) Note(e session.Event) {
	if e.Reason == session.ReasonRepinned {
		return
	}
	p := s.ports[e.Port]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, e)
	if n := e.Change.New; n != nil {
		p.made = n.Number()
		p.index[n.ID()] = p.made
	}
}

func (s *chaosStore) Confirm(port netip.AddrPort, done func(error)) {
	if s.ports[port].calm {
		done(nil)
		return
	}
	switch s.calls.Add(1) % 4 {
	case 0:
		done(nil)
	case 1:
		time.AfterFunc(chaosLimit/10, func() { done(nil) })
	case 2:
		time.AfterFunc(2*chaosLimit, func() { done(nil) })
	default:
		done(errors.New("it cannot be met"))
	}
}

// A chaosMix is what goes on at the ports where everything that ends sessions is at work at once: calls, signals, counted
// requests, idle time and expiry, with each policy, while connections are handed to and fro between the loops.
type chaosMix struct {
	t     *testing.T
	r     *Relay
	ports []*chaosPort // by index in the relay's
	first int          // of the mixed ones; the one before is the lone client's
	over  atomic.Bool
	ends  sync.WaitGroup

	plain, tunnelled, closes, whole atomic.Int64

	graceEnds atomic.Int64 // when the relay may cut whatever there is, in nanoseconds since the Unix epoch; 0: never
}

// mayCut reports whether the relay's grace is over.
func (m *chaosMix) mayCut() bool {
	at := m.graceEnds.Load()
	return at != 0 && time.Now().UnixNano() >= at
}

// mixedMappings are a lone client's port, and three ports of each policy.
func mixedMappings(t *testing.T, from Mapping, provider net.Addr) []Mapping {
	from.Servers = []Server{serverAt(provider)}
	from.RotateOn = []Signal{{Status: []int{403}, Count: 1, Within: time.Hour}}
	from.OnRotate, from.DrainTime = session.CloseAll, time.Hour
	list := []Mapping{from}
	for _, how := range []session.OnRotate{session.Keep, session.Drain, session.CloseAll} {
		for i := range 3 {
			m := from
			m.OnRotate, m.DrainTime = how, 20*time.Millisecond
			m.Plan = newPlan(t, session.PlanConfig{Lifetime: []time.Duration{50, 200, 3000}[i] * time.Millisecond})
			m.MaxRequests = []int{1000, 30, 5}[i]
			m.IdleLifetime = []time.Duration{0, 20, 100}[i] * time.Millisecond
			m.RotateOn = []Signal{{Status: []int{403}, Errors: ErrorReset, Count: 3, Within: time.Hour}}
			m.RotateMinInterval = 10 * time.Millisecond
			list = append(list, m)
		}
	}
	return list
}

// serveMixed is a provider that says under which session it was asked, refuses now and then, and resets now and then. In
// a tunnel it sends back what comes.
func serveMixed(l net.Listener) {
	var n atomic.Uint32
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
				_, credentials, _ := strings.Cut(req.Header.Get("Proxy-Authorization"), " ")
				user, _ := base64.StdEncoding.DecodeString(credentials)
				id := strings.TrimSuffix(strings.TrimPrefix(string(user), "user-session-"), ":pass")
				switch turn := n.Add(1) % 16; {
				case turn == 0:
					_ = conn.(*net.TCPConn).SetLinger(0)
					return
				case turn < 4:
					fmt.Fprintf(conn, "HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n", len(id))
					time.Sleep(time.Duration(turn) * time.Millisecond) // the head is on its way alone
					_, err = io.WriteString(conn, id)
				case req.Method == http.MethodConnect:
					_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n\r\n%s\n", id)
					_, _ = io.Copy(struct{ io.Writer }{conn}, r)
					return
				default:
					_, err = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(id), id)
				}
				if err != nil {
					return
				}
			}
		}()
	}
}

// begin has all go on until end is called.
func (m *chaosMix) begin(seed uint64) {
	stream := uint64(1 << 32)
	run := func(f func(rnd *rand.Rand)) {
		stream++
		rnd := rand.New(rand.NewPCG(seed, stream))
		m.ends.Go(func() {
			for !m.over.Load() {
				f(rnd)
			}
		})
	}
	for _, p := range m.ports[m.first:] {
		for range 2 {
			run(func(*rand.Rand) { m.request(p) })
			run(func(rnd *rand.Rand) { m.tunnel(p, rnd) })
		}
		run(func(rnd *rand.Rand) { m.call(p, rnd) })
	}
	run(func(*rand.Rand) { m.lone(m.ports[m.first-1]) })
	run(m.handOver)
}

func (m *chaosMix) end() {
	m.over.Store(true)
	m.ends.Wait()
	for _, p := range m.ports {
		p.check(m.t)
	}
	m.t.Logf("mixed: %d requests, %d messages in tunnels, %d closes, %d refusals of the lone client came whole",
		m.plain.Load(), m.tunnelled.Load(), m.closes.Load(), m.whole.Load())
}

// handOver has a loop give connections to another, whatever their loads are.
func (m *chaosMix) handOver(rnd *rand.Rand) {
	i := rnd.IntN(len(m.r.loops))
	from, to := m.r.loops[i], m.r.loops[(i+1)%len(m.r.loops)]
	done := make(chan struct{})
	give := int32(rnd.IntN(8))
	if from.ask(func() {
		from.gather.give, from.gather.giveTo = give, to
		close(done)
	}) {
		<-done
	}
	time.Sleep(time.Duration(rnd.IntN(3)) * time.Millisecond)
}

func (p *chaosPort) dial() (net.Conn, *bufio.Reader, error) {
	conn, err := net.DialTimeout("tcp", p.addr.String(), chaosPatience)
	if err != nil {
		time.Sleep(time.Millisecond) // there may be no port any more, and who calls this calls again
		return nil, nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(chaosPatience))
	return conn, bufio.NewReader(conn), nil
}

// request asks some times over one connection. A request goes under a session that was the port's between its sending and
// its answer.
func (m *chaosMix) request(p *chaosPort) {
	conn, r, err := p.dial()
	if err != nil {
		return
	}
	defer conn.Close()
	for range 20 {
		oldest := p.oldest()
		if _, err := io.WriteString(conn, get); err != nil {
			return
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return
		}
		id, err := io.ReadAll(res.Body)
		if err != nil || res.Header.Get("X-Proxymap-Error") != "" {
			return
		}
		newest := p.newest()
		m.plain.Add(1)
		if n := m.numberOf(p, string(id)); n < oldest || n > newest {
			m.t.Errorf("port %d: a request went under session %s, number %d; want one from %d to %d", p.addr.Port(), id, n, oldest, newest)
		}
	}
}

// numberOf waits for the store to have been told of the session: others may meet it a moment before.
func (m *chaosMix) numberOf(p *chaosPort, id string) (n uint64) {
	for end := time.Now().Add(patience); n == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		if n = p.number(id); n > 0 {
			break
		}
	}
	return n
}

// tunnel sends messages to and fro until the tunnel ends. None that is sent after a close was answered comes back.
func (m *chaosMix) tunnel(p *chaosPort, rnd *rand.Rand) {
	conn, r, err := p.dial()
	if err != nil {
		return
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, connect); err != nil {
		return
	}
	res, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil || res.StatusCode != 200 {
		return
	}
	id, err := r.ReadString('\n')
	if err != nil {
		return
	}
	n := m.numberOf(p, strings.TrimSuffix(id, "\n"))
	for !m.over.Load() {
		closed := p.closed.Load()
		if _, err := io.WriteString(conn, "x"); err != nil {
			return
		}
		if _, err := r.ReadByte(); err != nil {
			return
		}
		if n < closed {
			m.t.Errorf("port %d: a tunnel of session %d carries bytes after a close of all below %d was answered", p.addr.Port(), n, closed)
			return
		}
		m.tunnelled.Add(1)
		if rnd.IntN(8) == 0 {
			time.Sleep(time.Duration(rnd.IntN(10)) * time.Millisecond)
		}
	}
}

// call rotates the port, through itself or from outside, and leaves without an answer now and then.
func (m *chaosMix) call(p *chaosPort, rnd *rand.Rand) {
	time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
	made := p.newest()
	how := []session.OnRotate{session.Keep, session.Drain, session.CloseAll, session.CloseAll}[rnd.IntN(4)]
	name := map[session.OnRotate]string{session.Keep: "keep", session.Drain: "drain", session.CloseAll: "close"}[how]
	answered := false
	switch way := rnd.IntN(4); way {
	case 0:
		ctx, cancel := context.WithTimeout(context.Background(), chaosPatience)
		err := m.r.Rotate(ctx, []netip.AddrPort{p.addr}, &Rotation{Renew: rnd.IntN(2) == 0, OnRotate: how})
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			m.t.Errorf("port %d: a rotation does not end: %v", p.addr.Port(), err)
		}
		answered = err == nil
	default:
		conn, r, err := p.dial()
		if err != nil {
			return
		}
		defer conn.Close()
		call := []string{renewSession, resetSession}[rnd.IntN(2)]
		if _, err := io.WriteString(conn, call+"?on_rotate="+name+" HTTP/1.1\r\nHost: portmapper\r\n\r\n"); err != nil {
			return
		}
		if way == 1 {
			_ = conn.(*net.TCPConn).SetLinger(0)
			return
		}
		res, err := http.ReadResponse(r, nil)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			m.t.Errorf("port %d: a call is neither answered nor cut: %v", p.addr.Port(), err)
		}
		answered = err == nil && res.StatusCode == 200
	}
	if answered && how == session.CloseAll {
		m.closes.Add(1)
		for old := p.closed.Load(); old <= made && !p.closed.CompareAndSwap(old, made+1); old = p.closed.Load() {
		}
	}
}

// lone asks all by itself, so what a refusal of its port cuts can only be the refusal.
func (m *chaosMix) lone(p *chaosPort) {
	conn, r, err := p.dial()
	if err != nil {
		return
	}
	defer conn.Close()
	request := get
	if rand.IntN(2) == 0 {
		request = connect
	}
	began := time.Now()
	if _, err := io.WriteString(conn, request); err != nil {
		return
	}
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 403 {
		return
	}
	if _, err := io.ReadAll(res.Body); err == nil {
		m.whole.Add(1)
	} else if took := time.Since(began); took < chaosLimit/2 && !m.mayCut() { // else a deadline may have passed
		m.t.Errorf("a refusal that had the session replaced does not come whole, %v after the request: %v", took, err)
	}
}
