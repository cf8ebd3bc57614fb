//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"proxymap/bench/provider"
)

// A client uses one port, one connection at a time, in one way.
type client struct {
	*run
	index, port int
	use         use
	rng         *rand.Rand
	ledger      ledger

	link   *link
	before string // session of the connection's answer before
}

// A use is a way to use a port: one connection, from its beginning to its end.
type use struct {
	name string
	life func(*client) error
}

// uses are all ways; each port has a client for each row.
var uses = []use{
	{"plain", (*client).plain},
	{"plain", (*client).plain},
	{"pipelined", (*client).pipelined},
	{"pipelined", (*client).pipelined},
	{"CONNECT", (*client).short},
	{"SOCKS5", (*client).socks},
	{"long tunnel", (*client).long},
	{"long tunnel", (*client).long},
	{"long SOCKS5 tunnel", (*client).longSocks},
}

const (
	mostRequests = 2000 // of a plain connection, plus one
	mostBatch    = 16
	mostMessages = 40 // of a short tunnel, plus one

	calmPause   = 20 * time.Millisecond // between two operations, at most
	tunnelPause = 50 * time.Millisecond // between two messages of a long tunnel, at most
	retryPause  = 10 * time.Millisecond
)

// work uses the port until the run is over.
func (c *client) work() {
	for !c.over() {
		c.gate.RLock()
		err := c.connection()
		c.gate.RUnlock()
		if err == nil {
			continue
		}
		var status *statusError
		if errors.As(err, &status) || errors.Is(err, errSOCKS) {
			c.fail(fmt.Errorf("%s on %s: %w", c.use.name, c.bed.port(c.port), err))
		} else {
			c.cuts.Add(1) // rotations end connections
		}
		time.Sleep(retryPause)
	}
}

// connection uses the port for one connection.
func (c *client) connection() error {
	var err error
	if c.link, err = dial(c.bed.port(c.port)); err != nil {
		return err
	}
	c.before = ""
	err = c.use.life(c)
	c.link.end(err != nil || c.rng.IntN(2) == 0)
	return err
}

// rest pauses where the run, or the port's mapping, wants that.
func (c *client) rest() {
	if m := c.bed.mapping(c.port); m.pauses {
		for time.Duration(c.clock.now.Load())%pausePeriod < pauseTime && !c.over() {
			time.Sleep(retryPause)
		}
	}
	if c.calm.Load() {
		time.Sleep(time.Duration(c.rng.Int64N(int64(calmPause))))
	}
}

// enter enters a request that is about to be written, and returns its number and host.
func (c *client) enter(tunnel uint32) (uint32, string) {
	return c.enterAsked(c.model.Asked(c.port, c.clock.now.Load()), tunnel, false)
}

func (c *client) enterAsked(asked Ask, tunnel uint32, banned bool) (uint32, string) {
	n := c.ledger.enter(asked, tunnel)
	return n, hostName(c.index, n, banned)
}

func plainRequest(host string) string {
	return "GET http://" + host + "/ HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
}

func insideRequest(host string) string { return "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n" }

// hear reads the answer to the n-th request, and looks whether it is that one's. It reports whether the connection goes on.
func (c *client) hear(n uint32, banned bool) (bool, error) {
	a, err := c.link.answer(false)
	if err != nil {
		return false, err
	}
	seen := c.ledger.seen(n)
	if banned && a.status == 403 && a.reason == "" {
		c.requests.Add(1)
		return !a.closes, nil
	}
	if a.status != 200 {
		return false, unexpected("request", a)
	}
	if a.session != seen {
		c.model.Violate(c.port, Crossed, a.session, fmt.Sprintf("the answer to request %d of client %d says so; the provider saw it under %q", n, c.index, seen))
	}
	c.requests.Add(1)
	c.follow(a.session)
	return !a.closes, nil
}

// follow notes the session of the connection's next answer.
func (c *client) follow(session string) {
	if c.before != "" && session != c.before {
		c.model.Followed(c.port, session, c.before)
	}
	c.before = session
}

// plain sends one request after the other.
func (c *client) plain() error {
	for range 1 + c.rng.IntN(mostRequests) {
		if c.rest(); c.over() {
			return nil
		}
		banned := c.bed.mapping(c.port).bans && c.rng.IntN(50) == 0
		n, host := c.enterAsked(c.model.Asked(c.port, c.clock.now.Load()), 0, banned)
		if err := c.link.send(plainRequest(host)); err != nil {
			return err
		}
		if goesOn, err := c.hear(n, banned); !goesOn {
			return err
		}
	}
	return nil
}

// pipelined sends several requests at once, sometimes with a call between them.
func (c *client) pipelined() error {
	for range 1 + c.rng.IntN(mostRequests/mostBatch) {
		if c.rest(); c.over() {
			return nil
		}
		var text strings.Builder
		var numbers [mostBatch]uint32
		batch, at := 1+c.rng.IntN(mostBatch), -1
		var called *call
		if c.rng.IntN(100) == 0 {
			at = c.rng.IntN(batch)
			called = c.newCall(c.port, c.rng)
		}
		asked := c.model.Asked(c.port, c.clock.now.Load())
		for i := range batch {
			if i == at {
				text.WriteString(called.request())
			}
			n, host := c.enterAsked(asked, 0, false)
			numbers[i] = n
			text.WriteString(plainRequest(host))
		}
		if err := c.link.send(text.String()); err != nil {
			called.fail()
			return err
		}
		if goesOn, err := c.hearBatch(numbers[:batch], at, called); !goesOn {
			return err
		}
	}
	return nil
}

// hearBatch reads the answers to a batch, of which that to a call comes before the at-th.
func (c *client) hearBatch(numbers []uint32, at int, called *call) (bool, error) {
	defer called.fail() // if it has not been answered
	for i, n := range numbers {
		if i == at {
			session, err := called.hear(c.link)
			if err != nil {
				return false, err
			}
			if session != "" {
				c.follow(session)
			}
		}
		if goesOn, err := c.hear(n, false); !goesOn {
			return false, err
		}
	}
	return true, nil
}

func (c *client) short() error { return c.tunnel((*link).connect, 1+c.rng.IntN(mostMessages), 0) }
func (c *client) socks() error { return c.tunnel((*link).socks, 1+c.rng.IntN(mostMessages), 0) }
func (c *client) long() error  { return c.tunnel((*link).connect, -1, tunnelPause) }
func (c *client) longSocks() error {
	return c.tunnel((*link).socks, -1, tunnelPause)
}

// tunnel opens one and sends so many messages through it, each when the last has been answered; -1: as long as it lasts.
// The first goes out together with the request for the tunnel, mostly.
func (c *client) tunnel(open func(l *link, host, early string) error, messages int, pause time.Duration) error {
	c.rest()
	tunnel, host := c.enter(0)
	var first uint32
	early := ""
	if c.rng.IntN(4) > 0 {
		var inside string
		first, inside = c.enter(tunnel)
		early = insideRequest(inside)
	}
	if err := open(c.link, host, early); err != nil {
		return err
	}
	c.tunnels.Add(1)
	for i := 0; i != messages && !c.over(); i++ {
		n := first
		if i > 0 || n == 0 {
			var inside string
			n, inside = c.enter(tunnel)
			if err := c.link.send(insideRequest(inside)); err != nil {
				return err
			}
		}
		goesOn, err := c.hear(n, false)
		if !goesOn {
			return err
		}
		c.messages.Add(1)
		if c.rest(); pause > 0 {
			time.Sleep(time.Duration(c.rng.Int64N(int64(pause))))
		}
	}
	return nil
}

// observe is told of everything that the provider sees.
func (r *run) observe(s provider.Sighting) {
	index, n, ok := parseHost(s.Host)
	if !ok || index >= len(r.clients) {
		r.fail(fmt.Errorf("the provider sees a request for %q, which nobody has sent", s.Host))
		return
	}
	c := r.clients[index]
	at := r.clock.now.Load()
	e, found := c.ledger.sight(n, s.Session)
	if !found {
		r.stale.Add(1) // what was known before is forgotten; whose session it is can still be checked
	}
	if s.Tunnel != "" {
		if of, opened, _ := parseHost(s.Tunnel); of != index || found && opened != e.tunnel {
			r.model.Violate(c.port, Crossed, s.Session, fmt.Sprintf("message %s comes through the tunnel %s", s.Host, s.Tunnel))
		}
		r.model.Carried(c.port, s.Session, e.asked, at)
		return
	}
	if s.Previous != "" && s.Previous != s.Session {
		r.model.Violate(c.port, Mixed, s.Session, "the upstream connection had "+s.Previous)
	}
	r.model.Saw(c.port, s.Session, e.asked, at, !found || e.seen)
}
