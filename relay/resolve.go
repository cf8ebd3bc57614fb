package relay

import (
	"errors"
	"net/netip"
	"proxymap/relay/refusal"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Names that outbound has looked up: a server's, and the target's where the server is to be told an address. What they stand
// for is mostly known (server.go). If not, the connection waits in stageDial until onLookup is called.

// A searchTime is what time there is for finding a way: for connecting, and for look-ups, which have a time of their own.
type searchTime struct {
	until   int64 // the loop's time when connecting ends; never: it has all the time
	lookups int64 // nanoseconds that look-ups may still take
	waits   bool  // a look-up is waited for
	since   int64 // the loop's time
}

// newSearchTime gives connecting as much time as it says; 0 or less: all the time.
func newSearchTime(now int64, connecting time.Duration) searchTime {
	t := searchTime{until: never, lookups: int64(lookupWait)}
	if connecting > 0 {
		t.until = now + int64(connecting)
	}
	return t
}

// beginWait begins to wait for a look-up.
func (t *searchTime) beginWait(now int64) { t.waits, t.since = true, now }

// endWait ends the wait for a look-up, which leaves as much time for connecting as there was.
func (t *searchTime) endWait(now int64) {
	waited := now - t.since
	t.waits = false
	t.lookups -= waited
	if t.until != never {
		t.until += waited
	}
}

// untried are the addresses of one server that are still to be tried.
type untried struct {
	known *addresses       // what is known of the server; nil: nothing
	list  []netip.AddrPort // of that, what has not been tried
}

// add takes what is known of the server by now. What has been tried is not tried again.
func (u *untried) add(known *addresses) {
	if u.known == nil {
		u.list = known.list
	} else {
		for _, addr := range known.list {
			if !slices.Contains(u.known.list, addr) {
				u.list = append(slices.Clip(u.list), addr)
			}
		}
	}
	u.known = known
}

// mayGrow reports whether more addresses may come: the look-up that gave those known has not ended.
func (u *untried) mayGrow() bool { return u.known != nil && u.known.more }

// beginWait waits for a look-up.
func (o *outbound) beginWait() {
	o.time.beginWait(o.c.l.now)
	o.c.enter(stageDial)
}

// dropWait ends the wait for a look-up, if there is one, before its result has come.
func (o *outbound) dropWait() {
	if !o.time.waits {
		return
	}
	asked := o.server
	if o.target != nil {
		asked = o.target
	}
	asked.forget(o.c.ref(), o.c.l)
	o.time.endWait(o.c.l.now)
}

// lookUpTarget finds the address of the target that the server is to be told, and goes on with the first server.
func (o *outbound) lookUpTarget() {
	c := o.c
	if addr, err := netip.ParseAddr(string(o.to.host)); err == nil {
		o.resolved = addr
		o.tryServer()
		return
	}
	o.target = c.l.relay.targets.of(o.to.host, o.to.port)
	known, err := o.target.resolve(waiter{c.l, c.ref()})
	if err != nil {
		o.noTarget(err)
		return
	}
	if known != nil {
		known = o.target.withIPv4(known, waiter{c.l, c.ref()})
	}
	if known == nil {
		o.beginWait()
		return
	}
	o.onTarget(known)
}

// onTarget goes on with what the target's name stands for.
func (o *outbound) onTarget(known *addresses) {
	o.target = nil
	o.resolved = preferred(known.list)
	o.tryServer()
}

// noTarget fails because the target's name cannot be looked up.
func (o *outbound) noTarget(err error) {
	o.server, o.err = o.target, err
	if err != errManyLookups {
		o.err = errLookup{err}
	}
	o.dialFailed()
}

// onLookup is called with the addresses that the connection waits for.
func (o *outbound) onLookup(s *server, known *addresses, err error) {
	c := o.c
	if c.stage != stageDial || !o.time.waits {
		return // it has gone on meanwhile
	}
	switch s {
	case o.target:
		if err == nil {
			if known = s.withIPv4(known, waiter{c.l, c.ref()}); known == nil {
				return
			}
		}
		o.time.endWait(o.c.l.now)
		if err != nil {
			o.noTarget(err)
			return
		}
		o.onTarget(known)
	case o.server:
		o.time.endWait(o.c.l.now)
		if err != nil {
			o.err = errLookup{err}
		} else {
			o.untried.add(known)
		}
		o.beginRace()
	}
}

// onLookupTimeout is called when look-ups have taken too long.
func (o *outbound) onLookupTimeout() {
	if o.err == nil {
		o.err = errDialTimeout
	}
	o.dropWait()
	if o.target != nil {
		o.server = o.target
		o.dialFailed()
		return
	}
	o.serverFailed()
}

// tellsAddress reports whether the server is told the target's address in place of its name.
func (o *outbound) tellsAddress() bool { return o.resolved.IsValid() && o.servers.server().ResolveIP }

// preferred is the address of a target that an upstream proxy is told: an IPv4 address where there is one, which all
// proxies can take.
func preferred(addrs []netip.AddrPort) netip.Addr {
	for _, a := range addrs {
		if a.Addr().Is4() {
			return a.Addr()
		}
	}
	return addrs[0].Addr()
}

// dialFailed fails because nothing took a connection.
func (o *outbound) dialFailed() {
	c := o.c
	r := refusal.Refusal{Subject: refusal.Subject{Side: refusal.Provider, Name: o.server.name()}}
	if o.to.direct() || o.target != nil {
		r.Subject.Side = refusal.Target
	} else {
		c.signal(0, errorOfDial(o.err), c.sess)
	}
	r.Code, r.Cause = whyNotDialled(o.err)
	o.failed(r)
}

// whyNotDialled is what clients are told of why nothing took a connection.
func whyNotDialled(err error) (code refusal.Code, cause error) {
	var notFound errLookup
	var forbidden errForbidden
	switch {
	case errors.As(err, &notFound):
		return refusal.NameUnknown, err
	case errors.As(err, &forbidden):
		return refusal.Code(forbidden), nil
	case err == errDialTimeout || err == unix.ETIMEDOUT:
		return refusal.ConnectTimeout, nil
	case err == unix.ENETUNREACH || err == unix.EHOSTUNREACH:
		return refusal.Unroutable, err
	case err == unix.EADDRNOTAVAIL:
		return refusal.NoSourcePort, nil
	case exhausted(err):
		return refusal.NoDescriptors, nil
	case err == errManyLookups:
		return refusal.TooManyLookups, nil
	}
	return refusal.ConnectFailed, err
}
