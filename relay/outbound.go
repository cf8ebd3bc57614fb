package relay

import (
	"errors"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"proxymap/relay/refusal"
	"proxymap/relay/socks"
)

// A route is where outbound is to find a way to.
type route struct {
	host     []byte // the target's, rules applied; an IPv6 address has no brackets. It stays as it is until outbound ends
	port     uint16 // the target's, rules applied
	server   int    // index of the mapping's server that is tried first; -1: the target itself is dialled
	only     bool   // no other server is tried
	pinned   bool   // server is where the port's session is pinned to: if another works the session is pinned to that
	resolves bool   // the target's name is looked up here, because a server is to be told an address
}

// direct reports whether the target itself is dialled.
func (r *route) direct() bool { return r.server < 0 }

// outbound is the machine that finds a way upstream: it looks names up (resolve.go), connects to one server after the other
// (dial.go; candidates.go has their order, attempts.go their addresses), and asks a SOCKS server for a tunnel
// (handshake.go). It knows no HTTP. It begins with a route and ends in reached or in failed, in one of them and once, unless
// the connection ends before.
type outbound struct {
	c  *conn
	to route

	time     searchTime
	target   *server    // whose name is looked up before dialling; nil: none, or that is done
	resolved netip.Addr // the target's, which servers that want it are told; not valid: it was not looked up

	servers candidates
	server  *server // being tried; of a direct route the target
	untried untried // its addresses
	err     error   // why the last try failed

	attempts attempts // to connect to the server

	shake socks.Dial // with an upstream SOCKS server
	heard buffer     // what has come from it and is not used up
}

// begin finds a way along a route.
func (o *outbound) begin(to route) {
	l := o.c.l
	*o = outbound{c: o.c, to: to, time: newSearchTime(l.now, o.c.m.limits.Dial)}
	o.servers = newCandidates(o.c.m.proxies, to.server, to.only, l.now)
	if to.resolves {
		o.lookUpTarget()
		return
	}
	o.tryServer()
}

// reached ends the search: the upstream socket leads to an HTTP proxy, or to the target itself.
func (o *outbound) reached() {
	c := o.c
	if o.to.direct() {
		c.l.count(bypassConnected)
	} else {
		c.l.count(proxyConnected)
	}
	if c.m.leadsToTarget(c.server) {
		c.target = endpoint{string(o.to.host), o.to.port}
	}
	rest := o.heard // leaves the exchange, which may end
	o.heard = buffer{}
	c.transfer.onReached(rest.bytes())
	rest.release()
}

// failed ends the search with what the client is told. A request has failed when no server and no address is left.
func (o *outbound) failed(r refusal.Refusal) {
	c := o.c
	if o.to.direct() {
		c.l.count(bypassFailed)
	} else {
		c.l.count(proxyFailed)
	}
	c.refuseWith(r)
}

// drop gives back what outbound has, but for sockets, when the exchange ends.
func (o *outbound) drop() {
	o.dropWait()
	o.heard.release()
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

// errLookup wraps why a name could not be looked up.
type errLookup struct{ err error }

func (e errLookup) Error() string { return e.err.Error() }
func (e errLookup) Unwrap() error { return e.err }

// errForbidden is why a target must not be dialled.
type errForbidden refusal.Code

func (e errForbidden) Error() string { return refusal.Refusal{Code: refusal.Code(e)}.Text(nil) }

var errDialTimeout = errors.New("no answer in time")

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

// exhausted reports whether the fault is ours, so that another server would not help.
func exhausted(err error) bool {
	return slices.Contains([]error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ENOSPC}, err)
}
