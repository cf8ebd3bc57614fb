package lookup

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func addrs(list string) (addrs []netip.Addr) {
	for _, a := range strings.Fields(list) {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs
}

var (
	errNoName  = &net.DNSError{Err: "no such host", IsNotFound: true}
	errServer  = &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	errAbsent  = &absentError{errNoName}
	errTimeout = &net.DNSError{Err: "i/o timeout", IsTimeout: true}
)

// A scripted answer comes after a while; never, it comes with the end of the look-up.
type scripted struct {
	after time.Duration
	answer
}

const never = time.Hour

func (s scripted) give(ctx context.Context) answer {
	select {
	case <-time.After(s.after):
		return s.answer
	case <-ctx.Done():
		return answer{err: errTimeout, names: s.names}
	}
}

// everywhere is where all destinations are reached from, by sources that fit.
func everywhere(to netip.Addr) netip.Addr {
	if to.Is4() {
		return netip.MustParseAddr("192.0.2.1")
	}
	return netip.MustParseAddr("2001:db8::1")
}

// What has come goes on a moment after the first usable answer; what comes later joins, and a failure waits for it.
func TestFind(t *testing.T) {
	const ms = time.Millisecond
	v4, v6, both := addrs("192.0.2.7"), addrs("2001:db8::7"), addrs("2001:db8::7 192.0.2.7")
	ok4, ok6 := answer{addrs: v4, names: 1}, answer{addrs: v6, names: 1}
	fails := func(err error) answer { return answer{err: err, names: 1} }
	for _, row := range []struct {
		name    string
		v4, v6  scripted
		early   []netip.Addr
		earlyAt time.Duration
		all     []netip.Addr
		err     error
		at      time.Duration
	}{
		{"both at once", scripted{0, ok4}, scripted{0, ok6}, nil, 0, both, nil, 0},
		{"AAAA within the delay", scripted{10 * ms, ok4}, scripted{59 * ms, ok6}, nil, 0, both, nil, 59 * ms},
		{"AAAA after the delay", scripted{10 * ms, ok4}, scripted{300 * ms, ok6}, v4, 60 * ms, both, nil, 300 * ms},
		{"A after the delay", scripted{300 * ms, ok4}, scripted{10 * ms, ok6}, v6, 60 * ms, both, nil, 300 * ms},
		{"AAAA is dropped", scripted{0, ok4}, scripted{never, ok6}, v4, 50 * ms, v4, nil, 15000 * ms},
		{"A is dropped", scripted{never, ok4}, scripted{0, ok6}, v6, 50 * ms, v6, nil, 15000 * ms},
		{"AAAA fails late", scripted{0, ok4}, scripted{6000 * ms, fails(errServer)}, v4, 50 * ms, v4, nil, 6000 * ms},
		{"no AAAA", scripted{0, ok4}, scripted{0, fails(errNoName)}, nil, 0, v4, nil, 0},
		{"a failure waits", scripted{0, fails(errServer)}, scripted{5000 * ms, ok6}, nil, 0, v6, nil, 5000 * ms},
		{"no such name", scripted{0, fails(errNoName)}, scripted{20 * ms, fails(errNoName)}, nil, 0, nil, errNoName, 20 * ms},
		{"none of one, the other unknown", scripted{0, fails(errNoName)}, scripted{0, fails(errServer)}, nil, 0, nil, errServer, 0},
		{"one unknown, none of the other", scripted{0, fails(errServer)}, scripted{0, fails(errNoName)}, nil, 0, nil, errServer, 0},
		{"none of A, AAAA late", scripted{0, fails(errNoName)}, scripted{7000 * ms, ok6}, nil, 0, v6, nil, 7000 * ms},
		{"none of A, AAAA is dropped", scripted{0, fails(errNoName)}, scripted{never, ok6}, nil, 0, nil, errTimeout, 15000 * ms},
		{"no such name, AAAA is dropped", scripted{0, fails(errAbsent)}, scripted{never, ok6}, nil, 0, nil, errAbsent, 1000 * ms},
		{"no such name, A is dropped", scripted{never, ok4}, scripted{20 * ms, fails(errAbsent)}, nil, 0, nil, errAbsent, 1020 * ms},
		{"no such name for A, AAAA late", scripted{0, fails(errAbsent)}, scripted{900 * ms, ok6}, nil, 0, v6, nil, 900 * ms},
		{"no such name for AAAA, A late", scripted{900 * ms, ok4}, scripted{0, fails(errAbsent)}, nil, 0, v4, nil, 900 * ms},
		{"no such name, A fails", scripted{10 * ms, fails(errServer)}, scripted{0, fails(errAbsent)}, nil, 0, nil, errAbsent, 10 * ms},
		{"no such name, AAAA fails", scripted{0, fails(errAbsent)}, scripted{10 * ms, fails(errServer)}, nil, 0, nil, errAbsent, 10 * ms},
		{"no such name for both", scripted{0, fails(errAbsent)}, scripted{10 * ms, fails(errAbsent)}, nil, 0, nil, errAbsent, 10 * ms},
		{"all are dropped", scripted{never, ok4}, scripted{never, ok6}, nil, 0, nil, errTimeout, 15000 * ms},
		{"a file has another version", scripted{0, answer{}}, scripted{0, answer{}}, nil, 0, nil, nil, 0},
		{"another name of the search list", scripted{0, ok4}, scripted{0, answer{addrs: v6, names: 2}}, nil, 0, v4, nil, 0},
		{"another name for A", scripted{0, answer{addrs: v4, names: 3}}, scripted{0, answer{addrs: v6, names: 2}}, nil, 0, v6, nil, 0},
		{"a file beside a name server", scripted{0, answer{addrs: v4}}, scripted{0, ok6}, nil, 0, both, nil, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
				defer cancel()
				began := time.Now()
				var early []netip.Addr
				var earlyAt time.Duration
				ask := func(ctx context.Context, network string) answer {
					return map[string]scripted{"ip4": row.v4, "ip6": row.v6}[network].give(ctx)
				}
				all, err := find(ctx, ask, everywhere, func(list []netip.Addr) {
					if early != nil {
						t.Error("early is called twice")
					}
					early, earlyAt = list, time.Since(began)
				})
				if !slices.Equal(early, row.early) || earlyAt != row.earlyAt {
					t.Errorf("early: %v after %v; want %v after %v", early, earlyAt, row.early, row.earlyAt)
				}
				if at := time.Since(began); !slices.Equal(all, row.all) || !errors.Is(err, row.err) || at != row.at {
					t.Errorf("in the end: %v, %v after %v; want %v, %v after %v", all, err, at, row.all, row.err, row.at)
				}
			})
		})
	}
}

func TestInterleave(t *testing.T) {
	for _, row := range []struct{ a, b, want string }{
		{"::1 ::2 ::3", "192.0.2.1", "::1 192.0.2.1 ::2 ::3"},
		{"192.0.2.1", "::1 ::2 ::3", "192.0.2.1 ::1 ::2 ::3"},
		{"192.0.2.1 192.0.2.2", "::1 ::2", "192.0.2.1 ::1 192.0.2.2 ::2"},
	} {
		if got := interleave(addrs(row.a), addrs(row.b)); !slices.Equal(got, addrs(row.want)) {
			t.Errorf("%s with %s: %v; want %s", row.a, row.b, got, row.want)
		}
	}
}
