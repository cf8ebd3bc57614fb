package relay

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"proxymap/session"
)

// checkRosters fails a test unless each connection that belongs to a session is in the roster of its loop and its slot,
// once, and nothing else is in any. Each loop looks at its own between two events, so traffic may go on.
func checkRosters(t testing.TB, r *Relay, returned <-chan struct{}) {
	t.Helper()
	for i, l := range r.loops {
		wrong := make(chan string, 1)
		if !l.ask(func() { wrong <- misplaced(l) }) {
			continue // it has ended; see checkNoRosters
		}
		select {
		case what := <-wrong:
			if what != "" {
				t.Errorf("loop %d: %s", i, what)
			}
		case <-returned:
		case <-time.After(patience):
			t.Errorf("loop %d: it does nothing", i)
		}
	}
}

// checkNoRosters fails a test if a relay whose loops have ended has a connection in a roster.
func checkNoRosters(t testing.TB, r *Relay) {
	t.Helper()
	for _, p := range r.ports() {
		for o := p.rosters.made.Load(); o != nil; o = o.next {
			if o.first != nil {
				t.Errorf("port %d: there is a connection in a roster after the relay's end", p.addr.Port())
			}
		}
	}
}

// misplaced says what is wrong with a loop's rosters, by a look at all of its connections.
func misplaced(l *loop) string {
	in := map[*conn]*port{}
	for _, p := range l.relay.ports() {
		o := p.rosters.on(l)
		if o == nil {
			continue
		}
		from := &o.first
		for c := o.first; c != nil; c = c.seat.next {
			if c.seat.prev != from {
				return fmt.Sprintf("port %d: what stands before connection %d is not what it says", p.addr.Port(), c.index)
			}
			if had, twice := in[c]; twice {
				return fmt.Sprintf("connection %d is in the rosters of ports %d and %d", c.index, had.addr.Port(), p.addr.Port())
			}
			in[c], from = p, &c.seat.next
		}
	}
	for _, c := range l.conns {
		if c == nil || c.stage == stageClosed {
			continue
		}
		p, is := in[c]
		delete(in, c)
		switch {
		case is && c.sess == nil:
			return fmt.Sprintf("connection %d, stage %d, belongs to no session, and is in a roster", c.index, c.stage)
		case is && p != c.port:
			return fmt.Sprintf("connection %d of port %d is in the roster of port %d", c.index, c.port.addr.Port(), p.addr.Port())
		case !is && (c.sess != nil || c.seat != seat{}):
			return fmt.Sprintf("connection %d, stage %d, belongs to a session, and is in no roster", c.index, c.stage)
		}
	}
	for c := range in {
		return fmt.Sprintf("connection %d, stage %d, is in a roster, and not on the loop", c.index, c.stage)
	}
	return ""
}

// A model of a loop's rosters is a slice for each: its connections, the last to come first.
type rosterModel struct {
	l     *loop
	ports []*port
	in    [][]*conn
}

func newRosterModel(ports int) *rosterModel {
	m := &rosterModel{l: &loop{}, in: make([][]*conn, ports)}
	for range ports {
		m.ports = append(m.ports, &port{})
	}
	return m
}

func (m *rosterModel) enlist(i int) {
	c := &conn{l: m.l, port: m.ports[i], timer: int32(i)} // which is its number here
	c.port.rosters.enlist(c)
	m.in[i] = slices.Insert(m.in[i], 0, c)
}

func (m *rosterModel) leave(i, j int) *conn {
	c := m.in[i][j]
	c.seat.leave(m.l)
	m.in[i] = slices.Delete(m.in[i], j, j+1)
	return c
}

// list is what a roster has.
func (m *rosterModel) list(i int) (list []*conn) {
	if o := m.ports[i].rosters.on(m.l); o != nil {
		for c := o.first; c != nil; c = c.seat.next {
			list = append(list, c)
		}
	}
	return list
}

// A walk sees each connection once that is there from its beginning to its end, none that has left before it came to it,
// and none twice, whoever joins and leaves between two of its steps; and rosters hold what has joined and not left.
func TestWalkSeesThoseThatStay(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		const ports = 4
		m := newRosterModel(ports)
		for range rnd.IntN(60) {
			m.enlist(rnd.IntN(ports))
		}
		e := &errand{}
		for range rnd.IntN(6) { // some ports several times, some never
			e.wants = append(e.wants, want{port: m.ports[rnd.IntN(ports)]})
		}
		m.l.walk.errand = e
		stay := map[*conn]int{} // and how often each was seen
		for _, list := range m.in {
			for _, c := range list {
				stay[c] = 0
			}
		}
		gone := map[*conn]bool{}
		for {
			for range rnd.IntN(3) {
				i := rnd.IntN(ports)
				if n := len(m.in[i]); n > 0 && rnd.IntN(2) == 0 {
					gone[m.leave(i, rnd.IntN(n))] = true
				} else {
					m.enlist(i)
				}
			}
			c, w := m.l.walk.next(m.l)
			if w == nil {
				break
			}
			if c == nil {
				continue
			}
			if gone[c] {
				t.Fatalf("seed %d: a connection is looked at that has left", seed)
			}
			if c.port != w.port {
				t.Fatalf("seed %d: a connection of port %d is looked at for another", seed, c.timer)
			}
			if _, is := stay[c]; is {
				stay[c]++
			}
			if rnd.IntN(2) == 0 { // as a rotation closes it
				i := int(c.timer)
				gone[m.leave(i, slices.Index(m.in[i], c))] = true
			}
		}
		wanted := map[*port]int{}
		for _, w := range e.wants {
			wanted[w.port]++
		}
		for c, seen := range stay {
			if n := wanted[c.port]; !gone[c] && seen != n || seen > n {
				t.Fatalf("seed %d: a connection is looked at %d times by %d walks of its port", seed, seen, n)
			}
		}
		for i := range ports {
			if got := m.list(i); !slices.Equal(got, m.in[i]) {
				t.Fatalf("seed %d: roster %d holds %d connections; want %d, in their order", seed, i, len(got), len(m.in[i]))
			}
		}
	}
}

// Rosters are right whatever connections do, on both loops, while they are handed over and rotated.
func TestRostersUnderTraffic(t *testing.T) {
	t.Parallel()
	const ports, clients, visits = 4, 8, 25
	g := newRig(t, withAPI("portmapper"), func(cfg *Config) {
		cfg.Loops, cfg.spread = 2, true
		for range ports - 1 {
			cfg.Mappings = append(cfg.Mappings, cfg.Mappings[0])
		}
		for i := range cfg.Mappings {
			m := &cfg.Mappings[i]
			m.OnRotate, m.DrainTime = session.CloseAll, time.Millisecond
			if i == 1 {
				m.MaxRequests = 3
			}
			m.API = session.API{Enabled: true, Domain: "portmapper"}
		}
	})
	g.echo()
	ended := make(chan struct{})
	left := make(chan struct{}, clients)
	for n := range clients {
		go func() {
			defer func() { left <- struct{}{} }()
			rnd := rand.New(rand.NewPCG(uint64(n), 2))
			for range visits {
				g.visit(rnd, g.relay.Ports()[rnd.IntN(ports)].String())
			}
		}()
	}
	go func() {
		for range clients {
			<-left
		}
		close(ended)
	}()
	rnd := rand.New(rand.NewPCG(1, 3))
	handed := 0
	for done := false; !done; {
		select {
		case <-ended:
			done = true
		default:
		}
		from, to := g.relay.loops[0], g.relay.loops[1]
		if rnd.IntN(2) == 0 {
			from, to = to, from
		}
		given := make(chan int)
		from.do(func() { given <- handSome(from, to, rnd) })
		handed += <-given
		var wants []want
		for _, p := range g.relay.ports() {
			if rnd.IntN(4) == 0 {
				wants = append(wants, want{port: p, how: session.CloseAll, through: p.slot.Reset(time.Now().UnixNano()).Ended})
			}
		}
		g.relay.rotate(wants, func(int, int) {})
		checkRosters(t, g.relay, g.returned)
	}
	if looked := lookedAt(g.relay); looked == 0 || handed == 0 {
		t.Errorf("rotations have looked at %d connections, and %d were handed over; want some of both", looked, handed)
	}
}

// handSome gives some of the quiet connections of the loop that is running to another, and returns how many.
func handSome(from, to *loop, rnd *rand.Rand) (n int) {
	for _, c := range from.conns {
		if c != nil && c.stage != stageClosed && c.quiet() && rnd.IntN(2) == 0 {
			from.gather.give, from.gather.giveTo = 1, to
			from.giveAway(c)
			n++
		}
	}
	return n
}

// visit connects to a port, and does there what clients do, in a random order, until that is enough, or something ends it.
func (g *rig) visit(rnd *rand.Rand, port string) {
	conn, err := net.DialTimeout("tcp", port, patience)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if rnd.IntN(4) == 0 {
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
	buf := make([]byte, 4096)
	for range 1 + rnd.IntN(6) {
		request := []string{
			get, get, get, connect, askSession, "CONNECT portmapper:80 HTTP/1.1\r\nHost: portmapper:80\r\n\r\n", "nonsense\r\n\r\n",
		}[rnd.IntN(7)]
		if _, err := io.WriteString(conn, request); err != nil {
			return
		}
		if _, err := conn.Read(buf); err != nil {
			return
		}
	}
}
