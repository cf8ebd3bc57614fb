//go:build linux

package main

import (
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	wrkOutput = `Running 1s test @ http://127.0.0.9:18999/nope
  1 threads and 4 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     6.50ms    8.87ms  66.48ms   93.29%
    Req/Sec   818.20    210.92     1.17k    70.00%
  816 requests in 1.00s, 414.38KB read
Requests/sec:    812.51
Transfer/sec:    412.60KB
`
	abOutput = `Concurrency Level:      4
Time taken for tests:   0.321 seconds
Complete requests:      200
Failed requests:        0
Keep-Alive requests:    200
Requests per second:    623.23 [#/sec] (mean)
Time per request:       6.418 [ms] (mean)
`
	heyOutput = `
Summary:
  Total:	0.0217 secs
  Requests/sec:	2305.1090

Status code distribution:
  [200]	50 responses
`
)

func TestParseTools(t *testing.T) {
	for _, row := range []struct {
		name  string
		parse func(string) (outcome, error)
		out   string
		want  outcome // zero: an error
	}{
		{"wrk", parseWrk, wrkOutput, outcome{816, 812.51, 0}},
		{"wrk, refused", parseWrk, wrkOutput + "  Non-2xx or 3xx responses: 816\n", outcome{816, 812.51, 816}},
		{"wrk, lost", parseWrk, wrkOutput + "  Socket errors: connect 1, read 20, write 300, timeout 4000\n", outcome{816, 812.51, 4321}},
		{"wrk, nothing", parseWrk, "unable to connect to 127.0.0.9:18999 Connection refused\n", outcome{}},
		{"ab", parseAb, abOutput, outcome{200, 623.23, 0}},
		{"ab, refused", parseAb, abOutput + "Non-2xx responses:      7\n", outcome{200, 623.23, 7}},
		{"ab, failed", parseAb, strings.Replace(abOutput, "requests:        0", "requests:        3", 1), outcome{200, 623.23, 3}},
		{"ab, nothing", parseAb, "apr_socket_recv: Connection refused (111)\n", outcome{}},
		{"hey", parseHey, heyOutput, outcome{50, 2305.109, 0}},
		{"hey, refused", parseHey, heyOutput + "  [404]\t5 responses\n", outcome{55, 2305.109, 5}},
		{"hey, lost", parseHey, heyOutput + "\nError distribution:\n  [6]\tGet \"http://x/\": EOF\n", outcome{50, 2305.109, 6}},
		{"hey, nothing", parseHey, strings.Replace(heyOutput, "  [200]\t50 responses", "", 1), outcome{}},
	} {
		got, err := row.parse(row.out)
		if (err != nil) != (row.want == outcome{}) || err == nil && got != row.want {
			t.Errorf("%s: %+v, %v; want %+v", row.name, got, err, row.want)
		}
	}
}

// The tools are told to use the port as their proxy, and to come to an end.
func TestToolArguments(t *testing.T) {
	dir, proxy := t.TempDir(), netip.MustParseAddrPort("127.0.0.1:10201")
	for _, tool := range tools {
		args, err := tool.args(dir, proxy)
		if err != nil {
			t.Fatal(err)
		}
		line := " " + strings.Join(args, " ") + " "
		want := map[string][]string{
			"wrk": {" -d 5 ", " http://127.0.0.1:10201 ", " -s " + dir},
			"ab":  {" -k ", " -t 5 ", " -X 127.0.0.1:10201 ", toolURL},
			"hey": {" -z 5s ", " -x http://127.0.0.1:10201 ", toolURL},
		}[tool.name]
		for _, part := range want {
			if !strings.Contains(line, part) {
				t.Errorf("%s%s: %q is missing", tool.name, line, part)
			}
		}
	}
	script, err := os.ReadFile(filepath.Join(dir, "proxy.lua"))
	if err != nil || !strings.Contains(string(script), `"GET `+toolURL+` HTTP/1.1\r\n`) {
		t.Errorf("wrk's script is %s, %v", script, err)
	}
}

func TestToolThatFails(t *testing.T) {
	broken := &tool{name: "sh", args: func(string, netip.AddrPort) ([]string, error) { return []string{"-c", "echo no luck; exit 3"}, nil }, parse: parseAb}
	if _, err := broken.run("", netip.AddrPort{}); err == nil || !strings.Contains(err.Error(), "no luck") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v; want its words and its status", err)
	}
}

func TestParseStrace(t *testing.T) {
	calls := parseStrace(`strace: Process 42 attached
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 50.00    0.005000           5      1000           sendto
 40.00    0.004000           4       900        12 recvfrom
 10.00    0.001000           1       200           futex
  0.00    0.000000           0         3           close
------ ----------- ----------- --------- --------- ----------------
100.00    0.010000           4      2103        12 total
`)
	if len(calls) != 4 || calls["sendto"] != 1000 || calls["recvfrom"] != 900 || calls["futex"] != 200 || calls["close"] != 3 {
		t.Errorf("got %v", calls)
	}
	work, clock, which := perOperation(calls, 500)
	if math.Abs(work-3.806) > 1e-9 || clock != 0.4 || which != "sendto 2.00, recvfrom 1.80" {
		t.Errorf("got %v, %v, %q; futex goes by the clock, and 3 calls are too few to be named", work, clock, which)
	}
	if got := parseStrace("strace: attach: ptrace(PTRACE_SEIZE, 1): Operation not permitted\n"); len(got) != 0 {
		t.Errorf("of a failure it reads %v", got)
	}
}
