package relay

import (
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"proxymap/relay/internal/kernel"
)

// failingAccept has the first n accepts of a relay fail with err. What they would have taken is gone, as after an error that
// Linux passes on from the network, or stays, as after one of a security module.
func failingAccept(n int32, err error, stays bool) (func(*Config), *atomic.Int32) {
	calls := new(atomic.Int32)
	return func(cfg *Config) {
		cfg.accept = func(fd int) (int, netip.Addr, error) {
			if calls.Add(1) > n {
				return kernel.Accept(fd)
			}
			if stays {
				return -1, netip.Addr{}, err
			}
			taken, _, _ := kernel.Accept(fd)
			_ = kernel.Close(taken)
			return -1, netip.Addr{}, err
		}
	}, calls
}

// An accept that fails because of the client or the network loses that client and no other: nothing is known of
// descriptors, so no port rests (accept(2), "Error handling").
func TestAcceptFailsForOneClient(t *testing.T) {
	for _, err := range []syscall.Errno{
		unix.ECONNABORTED, unix.EPROTO, unix.ENOPROTOOPT, unix.EOPNOTSUPP, unix.EPERM, unix.EHOSTDOWN,
		unix.EHOSTUNREACH, unix.ENETDOWN, unix.ENETUNREACH, unix.ETIMEDOUT,
	} {
		t.Run(err.Error(), func(t *testing.T) {
			fails, calls := failingAccept(1, err, false)
			g := newRig(t, fails)
			lost := g.client(0)
			await(t, "the failing accept", func() bool { return calls.Load() > 0 })
			g.served()
			lost.expectClosed()
			if at := g.relay.admission.exhaustedUntil.Load(); at != 0 {
				t.Errorf("the relay takes itself to be out of descriptors until %d", at)
			}
		})
	}
}

// Out of descriptors or memory, the relay rests for a moment, and the client is served after it.
func TestAcceptOutOfDescriptors(t *testing.T) {
	for _, err := range []syscall.Errno{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM} {
		t.Run(err.Error(), func(t *testing.T) {
			fails, _ := failingAccept(1, err, true)
			g := newRig(t, fails)
			g.served()
			if g.relay.admission.exhaustedUntil.Load() == 0 {
				t.Error("the relay goes on as if there were descriptors")
			}
		})
	}
}

// An accept that fails again and again, and leaves the client where it is, must not keep the loop busy: its port rests, and
// it alone.
func TestAcceptThatKeepsFailing(t *testing.T) {
	var lines logLines
	var sick atomic.Int32
	var calls atomic.Int32
	g := newRig(t, func(cfg *Config) {
		cfg.Mappings = append(cfg.Mappings, cfg.Mappings[0])
		lines.in(cfg)
		cfg.accept = func(fd int) (int, netip.Addr, error) {
			if int32(fd) == sick.Load() {
				calls.Add(1)
				return -1, netip.Addr{}, unix.EPERM
			}
			return kernel.Accept(fd)
		}
	})
	sick.Store(int32(g.relay.ports()[1].fd))
	stuck := g.client(1)
	await(t, "the port rests", func() bool { return onLoops(g.relay, func(l *loop) int { return len(l.paused) }) == 1 })
	g.served()
	if at := g.relay.admission.exhaustedUntil.Load(); at != 0 {
		t.Errorf("the relay takes itself to be out of descriptors until %d", at)
	}
	await(t, "it is tried again", func() bool { return calls.Load() > 2*maxAcceptFaults })
	if n := lines.count("cannot accept"); n != 1 {
		t.Errorf("the log says %d times that a port cannot accept; want once", n)
	}
	sick.Store(-1)
	stuck.send(get)
	g.upstream().head()
}
