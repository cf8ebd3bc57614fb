package lookup

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// delay is how long the second answer is waited for once the first is usable: the Resolution Delay of RFC 8305 section 8.
const delay = 50 * time.Millisecond

// absentDelay is how long the second answer is waited for once the first says that the name does not exist, which is about
// both (RFC 8020 section 2). Some name servers say so where the name has addresses of the other version alone (RFC 4074
// section 4.2), so it is longer: the time in which a name server mostly gets an answer from others.
const absentDelay = time.Second

// An answer is what came of asking for a name's addresses of one IP version.
type answer struct {
	addrs []netip.Addr
	err   error // why there are none; nil also where there just are none

	// names is how many names were asked for: the name itself, and those that a search list makes of it. 0: that is not
	// known, for a file or the system's own resolver has answered.
	names int
}

func (a *answer) usable() bool { return len(a.addrs) > 0 }

// absent reports whether a name server has said of each of the names that it does not exist.
func (a *answer) absent() bool {
	var absent *absentError
	return errors.As(a.err, &absent)
}

// An absentError is what a name server's NXDOMAIN comes to: whoever tells of it has the code's name (RFC 2308 section 2.1).
type absentError struct{ *net.DNSError }

func (e *absentError) RCode() string { return "NXDOMAIN" }

func (e *absentError) Unwrap() error { return e.DNSError }

// A question asks for a name's addresses of one network, "ip4" or "ip6". It returns soon after the end of its context.
type question func(ctx context.Context, network string) answer

// find asks for both IP versions at once, and returns when both have answered. If one keeps the other waiting for longer
// than delay, early is called with what there is, once. A failure is none before both have failed, but for that of a name
// which does not exist.
func find(ctx context.Context, ask question, source sourceOf, early func([]netip.Addr)) ([]netip.Addr, error) {
	v4, v6 := make(chan answer, 1), make(chan answer, 1)
	go func() { v4 <- ask(ctx, "ip4") }()
	go func() { v6 <- ask(ctx, "ip6") }()
	var a4, a6 answer
	select {
	case a4 = <-v4:
		a6 = second(&a4, v6, early)
	case a6 = <-v6:
		a4 = second(&a6, v4, early)
	}
	if addrs := join(a4, a6, source); len(addrs) > 0 {
		return addrs, nil
	}
	return nil, why(a4, a6)
}

// second waits for the second answer, and has the first go on early if that takes long. One that does not come is of no
// weight beside a first that says that the name does not exist.
func second(first *answer, other <-chan answer, early func([]netip.Addr)) (a answer) {
	var wait time.Duration
	switch {
	case first.usable():
		wait = delay
	case first.absent():
		wait = absentDelay
	default:
		return <-other
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case a = <-other:
		return a
	case <-timer.C:
	}
	if first.absent() {
		return answer{}
	}
	early(first.addrs)
	return <-other
}

// join makes one list of both answers. Where a search list made them answers about two different names, the one that
// comes first in that list counts, as it does where both are asked for together.
func join(v4, v6 answer, source sourceOf) []netip.Addr {
	switch {
	case !v6.usable():
		return v4.addrs
	case !v4.usable():
		return v6.addrs
	case v4.names != v6.names && v4.names > 0 && v6.names > 0:
		if v4.names < v6.names {
			return v4.addrs
		}
		return v6.addrs
	case prefersIPv6(v4.addrs[0], v6.addrs[0], source):
		return interleave(v6.addrs, v4.addrs)
	}
	return interleave(v4.addrs, v6.addrs)
}

// interleave takes from both in turn (RFC 8305 section 4).
func interleave(a, b []netip.Addr) []netip.Addr {
	list := make([]netip.Addr, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		list = append(list, a[0], b[0])
		a, b = a[1:], b[1:]
	}
	return append(append(list, a...), b...)
}

// why is the error of a look-up that found nothing. That there is no such name is known where one answer says so of the name,
// else only where both find no address.
func why(v4, v6 answer) error {
	switch {
	case v4.absent(), v6.err == nil:
		return v4.err
	case v6.absent(), v4.err == nil, isNotFound(v4.err) && !isNotFound(v6.err):
		return v6.err
	}
	return v4.err
}

func isNotFound(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}
