package lookup

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

// A Resolver looks names up as the system does. Where Go asks the name servers itself, as it mostly does on Linux, their
// order is the Resolver's, and a socket is closed when its look-up ends: net.DefaultResolver leaves it open until its own
// time has passed, which is 10 s, or what /etc/resolv.conf says, so more would be open than the caller counts.
type Resolver struct {
	system      net.Resolver
	nameServers nameServers
}

// New makes a Resolver.
func New() *Resolver {
	r := &Resolver{}
	r.system.Dial = r.dial
	return r
}

// Find returns what a name stands for, the best first. It returns when both A and AAAA have been answered, or soon after
// the end of ctx, which is to have one; what has come by then counts. That the name does not exist is an answer to both. If
// only one of them has been answered for a while, early is called with that answer's addresses, once and before Find
// returns. An error says why there are none, and wraps a net.DNSError; where a name server has said that the name does not
// exist, it has a method RCode() string. There may be none without an error. It may be called from any goroutine, but for a
// name once at a time.
func (r *Resolver) Find(ctx context.Context, host string, early func([]netip.Addr)) ([]netip.Addr, error) {
	both := &pair{}
	ask := func(ctx context.Context, network string) answer { return r.ask(ctx, &query{pair: both}, network, host) }
	return find(ctx, ask, localAddr, early)
}

func (r *Resolver) ask(ctx context.Context, q *query, network, host string) (a answer) {
	a.addrs, a.err = r.system.LookupNetIP(context.WithValue(ctx, queryKey{}, q), network, host)
	for i, addr := range a.addrs {
		a.addrs[i] = addr.Unmap()
	}
	var unsuitable *net.AddrError
	if errors.As(a.err, &unsuitable) {
		a.err = nil // a file has addresses of the other version
	}
	a.names = q.count()
	if dns := (*net.DNSError)(nil); errors.As(a.err, &dns) && dns.IsNotFound && q.allAbsent() {
		a.err = &absentError{dns}
	}
	return a
}

// localAddr asks the system where a packet to destination would come from. Nothing is sent.
func localAddr(destination netip.Addr) netip.Addr {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(destination, 53)))
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}

// A query is one of a look-up's two questions, on its way from name server to name server, and through the names that a
// search list makes of one.
type query struct {
	pair  *pair
	mu    sync.Mutex // the resolver's goroutine outlives the look-up for a moment
	round round
	names int
	name  string // that was asked for last, as in the message

	absent int  // names of which a name server has said that they do not exist, one after the other
	gone   bool // name is one of them
}

type queryKey struct{}

// A pair is what the two questions of a look-up know together.
type pair struct {
	mu       sync.Mutex
	answered []string // name servers that have answered one of them
}

func (p *pair) note(server string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.answered, server) {
		p.answered = append(p.answered, server)
	}
}

func (p *pair) has(server string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.answered, server)
}

// dial connects to a name server, in the Resolver's order, for as long as the query of ctx is under way.
func (r *Resolver) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	q, _ := ctx.Value(queryKey{}).(*query)
	if q == nil {
		return nil, context.Canceled // the look-up has ended meanwhile
	}
	now := time.Now()
	q.mu.Lock()
	server := r.nameServers.pick(&q.round, network, addr, now)
	q.mu.Unlock()
	var d net.Dialer
	c, err := d.DialContext(ctx, network, server)
	w := watched{c, r, q, server, now}
	if err != nil {
		w.noteError(err)
		return nil, err
	}
	context.AfterFunc(ctx, func() {
		if ctx.Err() == context.Canceled { // else a deadline of the connection says so
			_ = c.Close()
		}
	})
	if packets, ok := c.(net.PacketConn); ok {
		return watchedPackets{w, packets}, nil
	}
	return w, nil
}

// A watched is a connection to a name server that notes what it has to say.
type watched struct {
	net.Conn
	r      *Resolver
	q      *query
	server string
	sent   time.Time
}

// watchedPackets is one of UDP: its being a net.PacketConn tells the resolver that messages have no length before them.
type watchedPackets struct {
	watched
	net.PacketConn
}

func (w watched) Write(b []byte) (int, error) {
	w.q.noteQuestion(b[min(2, len(b)):]) // behind the message's length
	return w.Conn.Write(b)
}

func (w watchedPackets) Write(b []byte) (int, error) {
	w.q.noteQuestion(b)
	return w.Conn.Write(b)
}

func (w watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	switch {
	case err != nil:
		w.noteError(err)
	case n >= headerSize:
		w.r.nameServers.answered(w.server, time.Now())
		w.q.pair.note(w.server)
		w.q.noteAnswer(b[:n])
	}
	return n, err
}

// noteError notes that the name server is silent, unless it has answered the look-up's other question: it drops this one.
func (w watched) noteError(err error) {
	timeout := errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
	if timeout && !w.q.pair.has(w.server) {
		w.r.nameServers.timedOut(w.server, w.sent, time.Now())
	}
}

// Of a DNS message (RFC 1035 section 4.1) this is read here: the response code in the header's fourth byte, and behind the
// header the question's name, labels that have their lengths before them, up to one of length 0.
const (
	headerSize = 12

	noError   = 0
	nameError = 3
)

// noteQuestion counts the names that are asked for.
func (q *query) noteQuestion(message []byte) {
	if len(message) < headerSize {
		return
	}
	name, _, _ := bytes.Cut(message[headerSize:], []byte{0})
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.names == 0 || q.name != string(name) {
		q.names++
		q.name, q.gone = string(name), false
	}
}

// noteAnswer begins a new round when no other name server will be asked the same.
func (q *query) noteAnswer(message []byte) {
	code := message[3] & 0xf
	if code != noError && code != nameError {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.round.asked = nil
	if code == nameError && !q.gone {
		q.gone = true
		q.absent++
	}
}

// allAbsent reports whether none of the names that were asked for exists. It is false where none was asked for.
func (q *query) allAbsent() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.names > 0 && q.absent == q.names
}

func (q *query) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.names
}
