package provider

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxHead     = 64 << 10
	dialTimeout = 5 * time.Second
	idleTimeout = 2 * time.Minute
)

// Config is what a Provider is made of.
type Config struct {
	Address string // to listen on; empty: a free port of 127.0.0.1

	// User and Password are what clients must bring: the user name is User, or begins with User and a hyphen. An empty
	// User lets everybody in.
	User, Password string

	// Records is how many requests are remembered; 0 means 4096, a negative number none.
	Records int

	// Intercept is called with each request head, before anything else is done with it. If it returns true it has dealt
	// with the connection, which is closed then.
	Intercept func(conn net.Conn, r *bufio.Reader, head *Head) bool

	// Observe is called with each request head, those inside of tunnels to the provider's own host included, before it is
	// answered, and on the goroutine of its connection. nil: nobody looks.
	Observe func(s Sighting)
}

// A Sighting is a request that came, as Config.Observe is told of it.
type Sighting struct {
	Conn     int64  // number of the connection, from 1
	Method   string //
	Host     string // that it is for, without a port
	Session  string // id in the user name that it came with, or that the CONNECT came with whose tunnel it is in
	Previous string // session of the request before it on this connection; empty for the first
	Tunnel   string // host of the CONNECT whose tunnel it is in; empty: it is in none
}

// A Record is one request that came.
type Record struct {
	Conn    int64  // number of the connection, from 1
	Method  string //
	Target  string // request-target
	User    string // user name, empty without credentials
	Session string // id in the user name
	Head    string // as it came, to the byte
}

// A Provider is a running stub. Close ends it.
type Provider struct {
	cfg      Config
	listener net.Listener
	wg       sync.WaitGroup

	accepted, requests, refused atomic.Int64

	mu      sync.Mutex
	changed *sync.Cond // conns has changed
	closed  bool
	conns   map[net.Conn]struct{}
	records []Record
}

// Start listens and serves until Close.
func Start(cfg Config) (*Provider, error) {
	if cfg.Address == "" {
		cfg.Address = "127.0.0.1:0"
	}
	if cfg.Records == 0 {
		cfg.Records = 4096
	}
	l, err := net.Listen("tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	p := &Provider{cfg: cfg, listener: l, conns: map[net.Conn]struct{}{}}
	p.changed = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is where the provider listens.
func (p *Provider) Addr() netip.AddrPort { return p.listener.Addr().(*net.TCPAddr).AddrPort() }

// Close ends every connection, and returns when nothing of the provider runs any more.
func (p *Provider) Close() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// Accepted is the number of connections so far, Requests that of request heads, Refused that of 407 answers.
func (p *Provider) Accepted() int64 { return p.accepted.Load() }

// Requests is the number of request heads so far.
func (p *Provider) Requests() int64 { return p.requests.Load() }

// Refused is the number of 407 answers so far.
func (p *Provider) Refused() int64 { return p.refused.Load() }

// Records are the requests remembered, in the order in which they came.
func (p *Provider) Records() []Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Record(nil), p.records...)
}

// WaitOpen waits until exactly n of the clients' connections are open.
func (p *Provider) WaitOpen(ctx context.Context, n int) error {
	defer context.AfterFunc(ctx, p.changed.Broadcast)()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.open() != n {
		if ctx.Err() != nil {
			return fmt.Errorf("%d connections are open, not %d: %w", p.open(), n, ctx.Err())
		}
		p.changed.Wait()
	}
	return nil
}

// open counts the clients' connections; p.mu is held.
func (p *Provider) open() (n int) {
	for c := range p.conns {
		if _, origin := c.(originConn); !origin {
			n++
		}
	}
	return n
}

func (p *Provider) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors, most likely
			continue
		}
		id := p.accepted.Add(1)
		if p.keep(conn) {
			p.wg.Go(func() {
				defer p.drop(conn)
				p.serve(conn, id)
			})
		}
	}
}

// keep notes a connection for Close. It reports false, and closes it, if Close has been.
func (p *Provider) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	p.changed.Broadcast()
	return true
}

func (p *Provider) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	p.changed.Broadcast()
}

// serve answers the requests of one connection, one after another.
func (p *Provider) serve(conn net.Conn, id int64) {
	c := &client{p: p, id: id, conn: conn, r: bufio.NewReaderSize(conn, 16<<10)}
	defer c.closeOrigin()
	for {
		_ = conn.SetReadDeadline(time.Now().Add(idleTimeout))
		head, err := readHead(c.r)
		if err != nil {
			return
		}
		_ = conn.SetReadDeadline(time.Time{})
		previous := c.session
		c.authenticate(head)
		p.record(c, head)
		if p.cfg.Observe != nil {
			p.cfg.Observe(Sighting{Conn: id, Method: head.Method, Host: head.host(), Session: c.session, Previous: previous})
		}
		if p.cfg.Intercept != nil && p.cfg.Intercept(conn, c.r, head) {
			return
		}
		if !c.answer(head) {
			return
		}
	}
}

func (p *Provider) record(c *client, head *Head) {
	p.requests.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.records) < p.cfg.Records {
		p.records = append(p.records, Record{
			Conn: c.id, Method: head.Method, Target: head.Target, User: c.user, Session: c.session, Head: string(head.Raw),
		})
	}
}

// A Head is a request head.
type Head struct {
	Method, Target, Proto string
	Raw                   []byte // as it came, its empty line included
}

// readHead reads one head.
func readHead(r *bufio.Reader) (*Head, error) {
	h := &Head{}
	for {
		line, err := r.ReadSlice('\n')
		h.Raw = append(h.Raw, line...)
		if err != nil {
			return nil, err
		}
		if len(h.Raw) > maxHead {
			return nil, errors.New("provider: the head is too large")
		}
		if len(line) <= 2 {
			break
		}
	}
	start, _, _ := strings.Cut(string(h.Raw), "\r\n")
	parts := strings.Split(start, " ")
	if len(parts) != 3 {
		return nil, errors.New("provider: not a request line")
	}
	h.Method, h.Target, h.Proto = parts[0], parts[1], parts[2]
	return h, nil
}

// host is what the request is for, without its port: of its target, or of the Host field if that is in origin-form.
func (h *Head) host() string {
	host := h.Target
	if _, rest, absolute := strings.Cut(host, "://"); absolute {
		host, _, _ = strings.Cut(rest, "/")
	} else if strings.HasPrefix(host, "/") {
		host = h.Get("Host")
	}
	host, _, _ = strings.Cut(host, ":")
	return host
}

// Get returns the value of the first field with that name, in any case; empty if there is none.
func (h *Head) Get(name string) string {
	for _, line := range strings.Split(string(h.Raw), "\r\n")[1:] {
		if n, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(n, name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// authenticate reads the request's credentials into c.
func (c *client) authenticate(head *Head) {
	c.user, c.session, c.allowed = "", "", c.p.cfg.User == ""
	scheme, token, _ := strings.Cut(head.Get("Proxy-Authorization"), " ")
	b, err := base64.StdEncoding.DecodeString(token)
	if !strings.EqualFold(scheme, "Basic") || err != nil {
		return
	}
	user, password, _ := strings.Cut(string(b), ":")
	c.user, c.session = user, SessionOf(user)
	if want := c.p.cfg.User; want != "" {
		c.allowed = password == c.p.cfg.Password && (user == want || strings.HasPrefix(user, want+"-"))
	}
}

// SessionOf returns the session id in a user name: what follows -session-, -sessid- or -sid-.
func SessionOf(user string) string {
	parts := strings.Split(user, "-")
	for i := 1; i+1 < len(parts); i++ {
		switch parts[i] {
		case "session", "sessid", "sid":
			return parts[i+1]
		}
	}
	return ""
}

// ExitIP is the address that a session leaves from, out of the block for benchmarks, 198.18.0.0/15 (RFC 2544). The same
// session always has the same one.
func ExitIP(session string) netip.Addr {
	h := fnv.New32a()
	_, _ = io.WriteString(h, session) // a hash takes everything
	n := h.Sum32()
	return netip.AddrFrom4([4]byte{198, 18 + byte(n>>16&1), byte(n >> 8), byte(n)})
}
