//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proxymap/bench/drive"
)

func TestParsePorts(t *testing.T) {
	for _, row := range []struct {
		in   string
		want []string // nil: an error
	}{
		{"", []string{}},
		{"127.0.0.1:80", []string{"127.0.0.1:80"}},
		{"127.0.0.1:80-82", []string{"127.0.0.1:80", "127.0.0.1:81", "127.0.0.1:82"}},
		{"127.0.0.1:80,[::1]:90-91,", []string{"127.0.0.1:80", "[::1]:90", "[::1]:91"}},
		{"127.0.0.1:65534-65535", []string{"127.0.0.1:65534", "127.0.0.1:65535"}},
		{"127.0.0.1:82-80", nil},
		{"127.0.0.1:80-65536", nil},
		{"127.0.0.1:80-", nil},
		{"127.0.0.1", nil},
		{"host:80", nil},
	} {
		list, err := parsePorts(row.in)
		if (err != nil) != (row.want == nil) {
			t.Errorf("%q: %v", row.in, err)
			continue
		}
		got := []string{}
		for _, a := range list {
			got = append(got, a.String())
		}
		if diff := cmp.Diff(row.want, got); row.want != nil && diff != "" {
			t.Errorf("%q (-want +got):\n%s", row.in, diff)
		}
	}
}

func TestReport(t *testing.T) {
	for want, r := range map[string]drive.Result{
		"3000 operations in 1.5s: 2000 a second\n":                                     {Elapsed: 1500 * time.Millisecond, Operations: 3000},
		"8 operations in 2s: 4 a second\n4 MiB a second\n":                             {Elapsed: 2 * time.Second, Operations: 8, Bytes: 8 << 20},
		"1 operations in 1s: 1 a second\n2 MiB a second beside them\n":                 {Elapsed: time.Second, Operations: 1, Background: 2 << 20},
		"0 operations in 1s: 0 a second\n5 MiB a second\n6 MiB a second beside them\n": {Elapsed: time.Second, Bytes: 5 << 20, Background: 6 << 20},
	} {
		var out strings.Builder
		report(&out, &r)
		if out.String() != want {
			t.Errorf("got %q; want %q", out.String(), want)
		}
	}
}

func TestRun(t *testing.T) {
	pid := os.Getpid()
	provider := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 76, byte(pid >> 8), byte(pid)}), 18080).String()
	for want, o := range map[string]options{
		"":                  {Kind: "plain", Provider: provider, Clients: 2, Threads: 1, Time: 50 * time.Millisecond},
		"--provider":        {Kind: "plain", Provider: "nowhere"},
		"--via":             {Kind: "plain", Provider: provider, Via: "nowhere"},
		"connections stand": {Kind: "tunnel", Provider: provider, Via: "127.0.0.1:1", Clients: 2, Threads: 1, Time: time.Second},
	} {
		if err := o.run(); (err == nil) != (want == "") || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%+v: %v; want %q", o, err, want)
		}
	}
}
