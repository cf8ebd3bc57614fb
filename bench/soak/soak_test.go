//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

const kib = 1 << 10

func TestJudge(t *testing.T) {
	for _, row := range []struct {
		name  string
		rests []int64 // KiB at each pause
		fault string  // empty: none
	}{
		{"flat", []int64{5000, 5000, 5000, 5000}, ""},
		{"grown once, before the second pause", []int64{1000, 5000, 5000, 5000}, ""},
		{"grown by a tenth and the margin", []int64{5000, 5000, 5000, 6500}, ""},
		{"grown by more", []int64{5000, 5000, 5000, 6501}, "from 5000 KiB to 6501; want at most 6500"},
		{"grown all the time", []int64{1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000, 11000}, "has grown from 2000 KiB to 9000"},
		{"shrunk", []int64{9000, 9000, 5000, 1000}, ""},
		{"one high pause in the midst", []int64{5000, 5000, 90000, 5000, 5000}, ""},
		{"one high pause among the last ones", []int64{5000, 5000, 5000, 5000, 5000, 5000, 5000, 5000, 5000, 5000, 5000, 5000, 5000, 90000, 5000, 5000}, ""},
		{"up and down by chance", []int64{8716, 10612, 10464, 9808, 12716, 11156, 12568, 9580, 9236, 9292, 11476, 13676}, ""},
		{"something else was wrong at once", []int64{5000, 90000}, ""},
	} {
		s := &soak{}
		for _, kibs := range row.rests {
			s.rests = append(s.rests, kibs*kib)
		}
		s.judge(1000 * kib)
		if got := strings.Join(s.faults, ", "); (got == "") != (row.fault == "") || !strings.Contains(got, row.fault) {
			t.Errorf("%s: %q; want %q", row.name, got, row.fault)
		}
	}
}

func TestJudgePause(t *testing.T) {
	for _, row := range []struct {
		name        string
		errors      int64
		left, pipes int
		fault       string
	}{
		{"as at the start", 0, 0, 0, ""},
		{"the pipes that two loops keep", 0, 0, 2 * idlePipes, ""},
		{"a pipe too many", 0, 0, 2*idlePipes + 1, "33 descriptors of pipes are open when all connections have ended; want at most 32"},
		{"a descriptor that nobody closed", 0, 1, 0, "+1 descriptors are open"},
		{"a descriptor that is missing", 0, -1, 0, "-1 descriptors are open"},
		{"an operation that failed", 3, 0, 0, "3 errors, the first: reset"},
	} {
		s := &soak{}
		s.add(10, row.errors, nil)
		if row.errors > 0 {
			s.first = errors.New("reset")
		}
		s.judgePause(row.left, row.pipes, 2)
		if got := strings.Join(s.faults, ", "); (got == "") != (row.fault == "") || !strings.Contains(got, row.fault) {
			t.Errorf("%s: %q; want %q", row.name, got, row.fault)
		}
	}
}

func TestTallyKeepsTheFirstError(t *testing.T) {
	var all tally
	all.add(1, 0, nil)
	all.add(2, 1, errors.New("first"))
	all.add(3, 2, errors.New("second"))
	if all.connections != 6 || all.errors != 3 || all.first.Error() != "first" {
		t.Errorf("%d connections, %d errors, %v", all.connections, all.errors, all.first)
	}
}

// Each lane has ports and a provider that no other has, and the settings say so.
func TestLanesAreApart(t *testing.T) {
	r := &relay{addr: ownAddr(73, 1)}
	scripts := netip.MustParseAddrPort("127.0.0.1:4242")
	var settings struct {
		ProxyMappings []struct {
			Listen struct {
				Address   string
				PortRange struct{ Start, End uint16 }
			}
			ProxyServers struct {
				Items []struct {
					Host string
					Port uint16
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(r.settings(scripts)), &settings); err != nil {
		t.Fatal(err)
	}
	if len(settings.ProxyMappings) != len(lanes)+1 {
		t.Fatalf("%d mappings for %d lanes and the scripts", len(settings.ProxyMappings), len(lanes))
	}
	next := uint16(firstPort)
	providers := map[string]bool{}
	for i, m := range settings.ProxyMappings {
		ports := r.ports(i)
		if m.Listen.PortRange.Start != next || m.Listen.PortRange.End != next+lanePorts-1 || ports[0].Port() != next || len(ports) != lanePorts {
			t.Errorf("lane %d has ports %d-%d, and %v are asked; want %d ports from %d", i, m.Listen.PortRange.Start, m.Listen.PortRange.End, ports, lanePorts, next)
		}
		next += lanePorts
		to := fmt.Sprintf("%s:%d", m.ProxyServers.Items[0].Host, m.ProxyServers.Items[0].Port)
		if providers[to] {
			t.Errorf("lane %d shares the provider %s", i, to)
		}
		providers[to] = true
	}
	if !providers[scripts.String()] {
		t.Error("no lane leads to the scripts' provider")
	}
}

// A fakeRelay answers the Session API and ip.demo as told.
type fakeRelay struct {
	id, used func(changes int) string // of the session shown, and of the session that requests leave with
	status   int
	changes  int
}

func (f *fakeRelay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(f.status)
	switch {
	case r.URL.Host == "ip.demo":
		fmt.Fprintf(w, `{"session": %q}`, f.used(f.changes))
	case r.URL.Path == "/session/":
		fmt.Fprintf(w, `{"session_id": %q}`, f.id(f.changes))
	default:
		f.changes++
		fmt.Fprint(w, `{}`)
	}
}

func TestRotateFindsAWrongSession(t *testing.T) {
	fresh := func(changes int) string { return fmt.Sprint("s", changes) }
	stuck := func(int) string { return "s0" }
	empty := func(int) string { return "" }
	for _, row := range []struct {
		name string
		f    fakeRelay
		want string
	}{
		{"as it should be", fakeRelay{id: fresh, used: fresh, status: 200}, ""},
		{"the session stays", fakeRelay{id: stuck, used: stuck, status: 200}, `session "s0" is replaced by "s0"`},
		{"requests leave with the old one", fakeRelay{id: fresh, used: stuck, status: 200}, `"s0" is replaced by "s1", and the next request has "s0"`},
		{"no session", fakeRelay{id: empty, used: empty, status: 200}, `is replaced by ""`},
		{"refused", fakeRelay{id: fresh, used: fresh, status: 503}, "503"},
	} {
		server := httptest.NewServer(&row.f)
		err := rotate(netip.MustParseAddrPort(server.Listener.Addr().String()), 0)
		server.Close()
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v; want %q", row.name, err, row.want)
		}
	}
}

func TestLeaveFindsARefusedTunnel(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
			defer c.Close()
		}
	}()
	port := netip.MustParseAddrPort(l.Addr().String())
	for n, refused := range []bool{false, false, true, true} {
		err := leave(port, n)
		if (err != nil) != refused || err != nil && !strings.Contains(err.Error(), "502 Bad Gateway") {
			t.Errorf("script %d: %v; a refused tunnel must be reported: %v", n, err, refused)
		}
	}
}
