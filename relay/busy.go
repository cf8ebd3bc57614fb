package relay

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"proxymap/relay/internal/kernel"
)

// When the relay starts, somebody else may have one of its ports: mostly an outgoing connection, which the system has
// given it as its own. That ends, so binding is tried again for a while. Then the relay does not start, or it runs without
// the port, and goes on trying.

// BusyPort is what becomes of a mapping's ports that others have when the relay starts.
type BusyPort uint8

const (
	FailBusy BusyPort = iota // Listen returns an error
	SkipBusy                 // the others are served meanwhile
)

const (
	busyTime  = 5 * time.Second        // for which a port is tried again before it counts as taken
	busyPause = 100 * time.Millisecond // between two tries then
	busyRetry = 5 * time.Second        // between two tries from then on

	// shownPorts is how many ports a message names.
	shownPorts = 10
)

// busyTimes are busyTime and busyRetry, or what a test has in their place.
type busyTimes struct{ time, retry time.Duration }

// ErrPortBusy is wrapped by Listen's error where a port could not be had, for others have it.
var ErrPortBusy = errors.New("port is taken")

// missing returns those of ports that others have.
func missing(ports []*port) (list []*port) {
	for _, p := range ports {
		if p.missing.Load() {
			list = append(list, p)
		}
	}
	return list
}

// missingTo is missing, of the mappings that say what is to become of such ports.
func missingTo(what BusyPort, ports []*port) []*port {
	return slices.DeleteFunc(missing(ports), func(p *port) bool { return p.mapping().BusyPort != what })
}

// MissingPorts are those of Ports that are not listened on, for others have them. They are tried again while Serve runs. It
// may be called from any goroutine.
func (r *Relay) MissingPorts() []netip.AddrPort {
	return portAddresses(missing(r.ports()))
}

// CountPorts is how many ports the relay listens on, and how many are missing besides, see MissingPorts.
func (r *Relay) CountPorts() (listening, lacking int) {
	ports := r.ports()
	for _, p := range ports {
		if p.missing.Load() {
			lacking++
		}
	}
	return len(ports) - lacking, lacking
}

// bind listens on the port's address, and returns the socket.
func (r *Relay) bind(p *port) (fd int, bound netip.AddrPort, err error) {
	fd, bound, err = kernel.Listen(p.addr, r.setup().limits.KeepAlive)
	if err != nil {
		err = fmt.Errorf("listen on port %d of %s: %w", p.addr.Port(), p.addr.Addr(), err)
	}
	return fd, bound, err
}

// openPort binds a new port, or notes that it is missing.
func (r *Relay) openPort(p *port) error {
	fd, bound, err := r.bind(p)
	switch {
	case err == nil:
		p.fd, p.addr = fd, bound
	case errors.Is(err, unix.EADDRINUSE):
		p.missing.Store(true)
	default:
		return err
	}
	return nil
}

// awaitPorts tries ports without which the relay does not start until they can be had, or the time for that is over.
func (r *Relay) awaitPorts(ports []*port) error {
	list := missingTo(FailBusy, ports)
	if len(list) > 0 {
		r.log.Info("ports are taken; they are tried again", "ports", shown(list), "for", r.busy.time)
	}
	for until := time.Now().Add(r.busy.time); len(list) > 0; {
		taken, err := r.tryPorts(list)
		if !errors.Is(err, unix.EADDRINUSE) {
			return err
		}
		if list = missingTo(FailBusy, list); time.Now().After(until) {
			return busyError(taken, len(list)-1, err)
		}
		time.Sleep(busyPause)
	}
	return nil
}

// tryPorts binds what it can of ports that are missing. The first that cannot be bound for another reason than that others
// have it ends that; else the error is of the first that is still taken.
func (r *Relay) tryPorts(list []*port) (failed *port, err error) {
	for _, p := range list {
		fd, _, fault := r.bind(p)
		switch {
		case fault == nil:
			p.fd = fd
			p.missing.Store(false)
		case !errors.Is(fault, unix.EADDRINUSE):
			return p, fault
		case err == nil:
			failed, err = p, fault
		}
	}
	return failed, err
}

// busyError says what can be done about a port that others have, and so many more.
func busyError(p *port, others int, err error) error {
	more := ""
	if others > 0 {
		more = fmt.Sprintf(" (and so are %d others)", others)
	}
	m := p.mapping()
	ports := fmt.Sprint(m.First)
	if m.Last > m.First {
		ports += fmt.Sprintf("-%d", m.Last)
	}
	return fmt.Errorf("%w%s: %w; stop who has it, or, if that is an outgoing connection, add %s to the sysctl net.ipv4.ip_local_reserved_ports",
		err, more, ErrPortBusy, ports)
}

// retryPorts goes on trying the ports that are missing, whichever they are by then, until stop is closed or the relay ends.
func (r *Relay) retryPorts(stop <-chan struct{}) {
	var since time.Time // when the first of those that are missing was seen; zero: none is missing
	warned := false
	for !r.Draining() {
		list := missingTo(SkipBusy, r.ports())
		switch {
		case len(list) == 0:
			since, warned = time.Time{}, false
		case since.IsZero():
			since = time.Now()
		}
		pause := r.busy.retry
		if len(list) > 0 && !warned {
			pause = busyPause
		}
		select {
		case <-stop:
			return
		case <-time.After(pause):
		}
		if err := r.openMissing(list, stop); err != nil && !warned && time.Since(since) > r.busy.time {
			warned = true
			r.log.Warn("the relay runs without ports that others have; they are tried again", "ports", shown(missing(list)),
				"each", r.busy.retry, "err", err)
		}
	}
}

// openMissing has what it can of ports that are missing listened on. The error is of the first that cannot be.
func (r *Relay) openMissing(list []*port, stop <-chan struct{}) (failed error) {
	var found []*port
	for _, p := range list {
		if err := r.openLate(p, stop); err == nil {
			found = append(found, p)
		} else if failed == nil {
			failed = err
		}
	}
	if len(found) > 0 {
		r.log.Info("ports that were taken are listened on now", "ports", shown(found))
	}
	return failed
}

// openLate binds a port that was missing, and has its loop listen on it.
func (r *Relay) openLate(p *port, stop <-chan struct{}) error {
	fd, _, err := r.bind(p)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	if !p.loop.ask(func() { done <- p.loop.listenLate(p, fd) }) {
		_ = kernel.Close(fd) // the loop has ended
		return errEnding
	}
	select {
	case err = <-done:
	case <-stop: // the loop will close it
		err = errEnding
	}
	return err
}

// errEnding says that a port is not listened on any more, for the relay ends.
var errEnding = errors.New("the relay ends")

// shown renders ports for a message.
func shown(list []*port) string {
	var names []string
	for _, p := range list[:min(len(list), shownPorts)] {
		names = append(names, p.addr.String())
	}
	if more := len(list) - shownPorts; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}
