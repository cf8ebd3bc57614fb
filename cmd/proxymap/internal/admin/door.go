package admin

import (
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"proxymap/relay/allow"
)

// turnedPause is between two log lines of who may not connect.
const turnedPause = time.Minute

// A door closes connections whose address may not connect before anything is read of them.
type door struct {
	net.Listener
	allowed  allow.List
	turned   *allow.Turned
	rejected *atomic.Int64
}

// newDoor lets those networks in; nil is this machine by its loopback addresses.
func newDoor(l net.Listener, networks []netip.Prefix) door {
	if networks == nil {
		networks = allow.Loopback()
	}
	return door{l, allow.NewList(networks), allow.NewTurned(), new(atomic.Int64)}
}

// Accept returns the next connection that is let in.
func (d door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
		if d.allowed.Has(from) {
			return c, nil
		}
		_ = c.Close() // nothing has been sent or read
		d.rejected.Add(1)
		d.turned.Add(allow.Connection{From: from.Unmap(), To: d.Addr().(*net.TCPAddr).AddrPort()})
	}
}

// tell logs who is turned away, until stop is closed.
func (d door) tell(log *slog.Logger, stop <-chan struct{}) {
	pause := func() <-chan time.Time { return time.After(turnedPause) }
	d.turned.Tell(stop, pause, func(last allow.Connection, n int) {
		log.Warn("connections to the admin listener are closed unread, for their address is not one of Admin.AllowFrom; add it if it is yours",
			"from", last.From, "address", last.To, "connections", n)
	})
}
