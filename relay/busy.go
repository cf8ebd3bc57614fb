package relay

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
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

// missing are the ports that others have.
type missing struct {
	mu   sync.Mutex
	list []*port
}

func (m *missing) add(p *port) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = append(m.list, p)
}

func (m *missing) remove(p *port) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = slices.DeleteFunc(m.list, func(o *port) bool { return o == p })
}

// those returns the ports that are missing, of the mappings that say what.
func (m *missing) those(what BusyPort) (list []*port) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.list {
		if p.mapping().BusyPort == what {
			list = append(list, p)
		}
	}
	return list
}

// MissingPorts are those of Ports that are not listened on, for others have them. They are tried again while Serve runs. It
// may be called from any goroutine.
func (r *Relay) MissingPorts() []netip.AddrPort {
	r.missing.mu.Lock()
	defer r.missing.mu.Unlock()
	list := make([]netip.AddrPort, len(r.missing.list))
	for i, p := range r.missing.list {
		list[i] = p.addr
	}
	return list
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
		r.missing.add(p)
	default:
		return err
	}
	return nil
}

// awaitPorts tries ports without which the relay does not start until they can be had, or the time for that is over.
func (r *Relay) awaitPorts() error {
	list := r.missing.those(FailBusy)
	if len(list) > 0 {
		r.log.Info("ports are taken; they are tried again", "ports", shown(list), "for", r.busy.time)
	}
	for until := time.Now().Add(r.busy.time); len(list) > 0; list = r.missing.those(FailBusy) {
		var taken error
		for _, p := range list {
			fd, _, err := r.bind(p)
			switch {
			case err == nil:
				p.fd = fd
				r.missing.remove(p)
			case !errors.Is(err, unix.EADDRINUSE):
				return err
			case taken == nil:
				taken = r.busyError(p, err)
			}
		}
		if taken != nil && time.Now().After(until) {
			return taken
		}
		time.Sleep(busyPause)
	}
	return nil
}

// busyError says what can be done about a port that others have.
func (r *Relay) busyError(p *port, err error) error {
	more := ""
	if n := len(r.missing.those(FailBusy)); n > 1 {
		more = fmt.Sprintf(" (and so are %d others)", n-1)
	}
	m := p.mapping()
	ports := fmt.Sprint(m.First)
	if m.Last > m.First {
		ports += fmt.Sprintf("-%d", m.Last)
	}
	return fmt.Errorf("%w%s: %w; stop who has it, or, if that is an outgoing connection, add %s to the sysctl net.ipv4.ip_local_reserved_ports",
		err, more, ErrPortBusy, ports)
}

// retryPorts goes on trying the ports that are missing, until it has them or stop is closed.
func (r *Relay) retryPorts(stop <-chan struct{}) {
	pause, warnAt := busyPause, time.Now().Add(r.busy.time)
	for list := r.missing.those(SkipBusy); len(list) > 0 && !r.Draining(); list = r.missing.those(SkipBusy) {
		select {
		case <-stop:
			return
		case <-time.After(pause):
		}
		var found []*port
		var failed error
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
		if failed != nil && pause != r.busy.retry && time.Now().After(warnAt) {
			pause = r.busy.retry
			r.log.Warn("the relay runs without ports that others have; they are tried again", "ports", shown(r.missing.those(SkipBusy)),
				"each", pause, "err", failed)
		}
	}
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
