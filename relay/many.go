package relay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"proxymap/session"
)

// What an operator asks of many ports at once comes from outside of the loops. The sessions change first, all of them, and
// then their connections are reached in one go.

// A PortSession is what a port has at one moment.
type PortSession struct {
	Port     netip.AddrPort
	Session  *session.Session // nil: there is none
	Expired  bool
	Open     int64 // connections of clients
	Upstream int64 // bytes sent upstream since the start
	Client   int64 // bytes read from there
}

// Sessions tells what the ports with those addresses have; nil means all ports. One that the relay does not listen on is left
// out: it may have gone since Ports named it. Looking makes no session.
func (r *Relay) Sessions(ports []netip.AddrPort) []PortSession {
	has := r.table.Load()
	of := has.ports
	if ports != nil {
		of, _ = has.those(ports)
	}
	now := time.Now().UnixNano()
	list := make([]PortSession, 0, len(of))
	for _, p := range of {
		t := p.traffic()
		s := p.slot.Last()
		list = append(list, PortSession{
			Port: p.addr, Session: s, Expired: s != nil && now >= s.Expires(),
			Open: t.Open, Upstream: t.ProxySent + t.BypassSent, Client: t.ProxyRead + t.BypassRead,
		})
	}
	return list
}

// A Rotation is what is to become of the sessions of several ports, and what has become of their connections.
type Rotation struct {
	Renew      bool             // they are replaced; else removed
	Parameters []session.Pair   // of the new ones
	OnRotate   session.OnRotate // what becomes of the connections; OnRotateDefault: what each port's settings say

	Closed, Draining int
}

// ErrParameters wraps why a port cannot have a session with the parameters of a Rotation. Nothing has changed then.
var ErrParameters = errors.New("parameters")

// ErrNoPort wraps which port of a Rotation the relay does not listen on. Nothing has changed then.
var ErrNoPort = errors.New("the relay does not listen on port")

// Rotate carries out a rotation of the ports with those addresses, and returns when its connections have been reached and
// Config.Store has confirmed the changes, or when ctx ends. The sessions have changed then, whatever the error says, unless it
// is an ErrParameters or an ErrNoPort.
func (r *Relay) Rotate(ctx context.Context, addrs []netip.AddrPort, ro *Rotation) error {
	ports, missing := r.table.Load().those(addrs)
	if len(missing) > 0 {
		return fmt.Errorf("%w %s", ErrNoPort, missing[0])
	}
	now := time.Now().UnixNano()
	if err := checkParameters(ports, ro, now); err != nil {
		return err
	}
	var failed error
	var reach []want
	for _, p := range ports {
		var change session.Change
		var err error
		if ro.Renew {
			change, err = p.slot.Renew(now, ro.Parameters)
		} else {
			change = p.slot.Reset(now)
		}
		if err != nil { // what was checked may be drawn anew
			failed = fmt.Errorf("port %d: %w", p.addr.Port(), err)
			continue
		}
		if how := p.mapping().onRotate(ro.OnRotate); how != session.Keep {
			reach = append(reach, want{port: p, how: how, through: change.Ended})
		}
	}
	waits := min(len(reach), 1)
	if r.store != nil {
		waits += len(ports)
	}
	done := make(chan error, waits) // of room for all: nobody waits for a caller that has gone
	var closed, draining int
	if len(reach) > 0 {
		r.rotate(reach, func(c, d int) {
			closed, draining = c, d
			done <- nil
		})
	}
	if r.store != nil {
		for _, p := range ports {
			r.store.Confirm(p.addr, func(err error) { done <- err })
		}
	}
	for range waits {
		select {
		case err := <-done:
			if err != nil {
				failed = err
			}
		case <-ctx.Done():
			return fmt.Errorf("the sessions have changed, but it took too long to confirm that: %w", ctx.Err())
		}
	}
	ro.Closed, ro.Draining = closed, draining
	if failed != nil {
		return fmt.Errorf("the sessions have changed, but not all that should hold then does: %w", failed)
	}
	return nil
}

// checkParameters reports why some port cannot have a session with the parameters.
func checkParameters(ports []*port, ro *Rotation, now int64) error {
	if !ro.Renew || len(ro.Parameters) == 0 {
		return nil
	}
	checked := map[*mapping]bool{}
	for _, p := range ports {
		m := p.mapping()
		if checked[m] {
			continue
		}
		checked[m] = true
		s, err := m.Plan.New(now, nil, ro.Parameters)
		if err == nil && s == nil {
			err = errors.New("the lifetime is 0, so there is no session that could have them")
		}
		if err != nil {
			return fmt.Errorf("port %d: %w: %w", p.addr.Port(), ErrParameters, err)
		}
	}
	return nil
}
