package relay

import (
	"net/netip"
	"slices"
	"time"
)

// Names that outbound has looked up: a server's, and the target's where the server is to be told an address. What they stand
// for is mostly known (server.go). If not, the connection waits in stageDial until onLookup is called.

// A lookupClock is the time that a request waits for look-ups. It is no part of the time for connecting.
type lookupClock struct {
	runs  bool  // a look-up is waited for
	since int64 // the loop's time
	left  int64 // nanoseconds
}

// begin begins to wait.
func (w *lookupClock) begin(now int64) { w.runs, w.since = true, now }

// end ends the wait, and returns how long it was.
func (w *lookupClock) end(now int64) (waited int64) {
	waited = now - w.since
	w.runs = false
	w.left -= waited
	return waited
}

// remains is how long look-ups may still take.
func (w *lookupClock) remains() time.Duration { return time.Duration(max(w.left, 0)) }

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
	o.clock.begin(o.c.l.now)
	o.c.enter(stageDial)
}

// endWait ends the wait for a look-up, which leaves as much time for connecting as there was.
func (o *outbound) endWait() {
	waited := o.clock.end(o.c.l.now)
	if o.until != never {
		o.until += waited
	}
}

// dropWait ends the wait for a look-up, if there is one, before its result has come.
func (o *outbound) dropWait() {
	if !o.clock.runs {
		return
	}
	asked := o.server
	if o.target != nil {
		asked = o.target
	}
	asked.forget(o.c.ref(), o.c.l)
	o.endWait()
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
	if c.stage != stageDial || !o.clock.runs {
		return // it has gone on meanwhile
	}
	switch s {
	case o.target:
		if err == nil {
			if known = s.withIPv4(known, waiter{c.l, c.ref()}); known == nil {
				return
			}
		}
		o.endWait()
		if err != nil {
			o.noTarget(err)
			return
		}
		o.onTarget(known)
	case o.server:
		o.endWait()
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
