package relay

import (
	"fmt"
	"net/netip"
	"time"

	"proxymap/relay/allow"
)

// Who may connect to a port is decided at the door: by the address that comes with accept(2), before anything is read, and
// where a load balancer stands before the port, by the header that it has to send (proxyheader.go). Who is turned away gets no
// byte of an answer. It is counted, and told in the log once a minute.

// A turning is why a connection is turned away.
type turning uint8

const (
	byAddress turning = iota // it is not among those that may connect
	byHeader                 // the PROXY header is missing, or faulty
	numTurnings
)

// turnings are the reasons as they are counted and logged.
var turnings = [numTurnings]struct {
	count count
	text  string
}{
	byAddress: {addressRejected, "connections are closed unread, for their address is not among those that may connect; allow it if it is yours"},
	byHeader:  {headerRejected, "connections are closed, for they do not begin with a PROXY header as it should be; have the balancer send one"},
}

// A turnedAway has for each reason what has not been told yet.
type turnedAway [numTurnings]*allow.Turned

func newTurnedAway() (t turnedAway) {
	for why := range t {
		t[why] = allow.NewTurned()
	}
	return t
}

// An arrival is a client's connection that has been accepted. Its descriptor belongs to it.
type arrival struct {
	fd    int
	from  netip.Addr // the socket's peer
	place place
}

// turnAway takes note of a connection that is turned away.
func turnAway(l *loop, why turning, c allow.Connection) {
	l.count(turnings[why].count)
	l.relay.turned[why].Add(c)
}

// tellTurned logs who is turned away for a reason, until stop is closed.
func (r *Relay) tellTurned(why turning, stop <-chan struct{}) {
	pause := func() <-chan time.Time { return time.After(warnPause) }
	r.turned[why].Tell(stop, pause, func(last allow.Connection, n int) {
		args := []any{"from", last.From, "port", last.To, "connections", n}
		if last.Why != nil {
			args = append(args, "err", last.Why)
		}
		r.log.Warn(turnings[why].text, args...)
	})
}

// allowedOf makes the list of who may connect to a mapping's ports.
func allowedOf(m *Mapping) (allow.List, error) {
	if m.AllowFrom == nil {
		return allow.NewList(allow.Loopback()), nil
	}
	for _, n := range m.AllowFrom {
		if !n.IsValid() {
			return allow.List{}, fmt.Errorf("ports %d-%d: one of the networks that may connect is none", m.First, m.Last)
		}
	}
	return allow.NewList(m.AllowFrom), nil
}
