//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"proxymap/bench/drive"
)

const (
	toolClients  = 50
	toolTime     = 5 * time.Second
	toolRequests = 2_000_000 // that ab stops at, should it get so far
	toolPatience = 30 * time.Second
	toolContent  = 1024 // bytes of a response
	toolURL      = "http://plain.example/index.html"
)

// A tool is a load generator that others use.
type tool struct {
	name    string // of the program
	install string // what gives it
	// args are the arguments that send requests for toolURL through the HTTP proxy at proxy; dir is for files.
	args  func(dir string, proxy netip.AddrPort) ([]string, error)
	parse func(out string) (outcome, error)
}

var tools = []tool{
	{name: "wrk", install: "apt-get install wrk", args: wrkArgs, parse: parseWrk},
	{name: "ab", install: "apt-get install apache2-utils", args: abArgs, parse: parseAb},
	{name: "hey", install: "go install github.com/rakyll/hey@v0.1.5", args: heyArgs, parse: parseHey},
}

// An outcome is what a tool says of its run.
type outcome struct {
	requests float64 // answered
	rate     float64 // a second
	faults   float64 // requests that failed, or were not answered with 200
}

// wrk knows no proxies, but a script can have it ask for absolute URLs.
func wrkArgs(dir string, proxy netip.AddrPort) ([]string, error) {
	script := filepath.Join(dir, "proxy.lua")
	lua := fmt.Sprintf("request = function() return \"GET %s HTTP/1.1\\r\\nHost: plain.example\\r\\n\\r\\n\" end\n", toolURL)
	return []string{"-t", "1", "-c", strconv.Itoa(toolClients), "-d", fmt.Sprint(int(toolTime.Seconds())), "-s", script, "http://" + proxy.String()},
		os.WriteFile(script, []byte(lua), 0o600)
}

func abArgs(_ string, proxy netip.AddrPort) ([]string, error) {
	return []string{"-q", "-k", "-c", strconv.Itoa(toolClients), "-t", fmt.Sprint(int(toolTime.Seconds())), "-n", strconv.Itoa(toolRequests),
		"-X", proxy.String(), toolURL}, nil
}

func heyArgs(_ string, proxy netip.AddrPort) ([]string, error) {
	return []string{"-c", strconv.Itoa(toolClients), "-z", toolTime.String(), "-x", "http://" + proxy.String(), toolURL}, nil
}

// number finds the number that re has as its only group in out; 0 if there is none.
func number(re, out string) float64 {
	m := regexp.MustCompile(re).FindStringSubmatch(out)
	if m == nil {
		return 0
	}
	v, _ := strconv.ParseFloat(m[1], 64)
	return v
}

// sum adds up all numbers that re has as its groups in out.
func sum(re, out string) (total float64) {
	for _, m := range regexp.MustCompile(re).FindAllStringSubmatch(out, -1) {
		for _, group := range m[1:] {
			v, _ := strconv.ParseFloat(group, 64)
			total += v
		}
	}
	return total
}

func parseWrk(out string) (outcome, error) {
	return complete(out, outcome{
		requests: number(`(?m)^\s*(\d+) requests in `, out),
		rate:     number(`(?m)^Requests/sec:\s+([\d.]+)`, out),
		faults: sum(`Non-2xx or 3xx responses: (\d+)`, out) +
			sum(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`, out),
	})
}

func parseAb(out string) (outcome, error) {
	return complete(out, outcome{
		requests: number(`(?m)^Complete requests:\s+(\d+)`, out),
		rate:     number(`(?m)^Requests per second:\s+([\d.]+)`, out),
		faults:   sum(`(?m)^Failed requests:\s+(\d+)`, out) + sum(`(?m)^Non-2xx responses:\s+(\d+)`, out),
	})
}

func parseHey(out string) (outcome, error) {
	answers := sum(`(?m)^\s*\[\d+\]\s+(\d+) responses`, out)
	return complete(out, outcome{
		requests: answers,
		rate:     number(`(?m)^\s*Requests/sec:\s+([\d.]+)`, out),
		faults:   answers - sum(`(?m)^\s*\[200\]\s+(\d+) responses`, out) + sum(`(?m)^\s*\[(\d+)\]\s+[A-Z]\w+ `, out),
	})
}

// complete reports an error if something is missing.
func complete(out string, o outcome) (outcome, error) {
	if o.requests == 0 || o.rate == 0 {
		return o, fmt.Errorf("no requests in its output:\n%.2000s", out)
	}
	return o, nil
}

// runTools has each tool that is installed put load on the stub, and on the relay in front of it.
func (o *options) runTools(dir string) error {
	t, err := startPeer(dir, &peers[0], 0)
	if err != nil {
		return err
	}
	defer t.proc.Stop()
	stub, err := drive.StartStub(t.provider, 1, toolContent)
	if err != nil {
		return err
	}
	defer stub.Close()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(os.Stdout, "%d connections for %v each, %d bytes of content, the tool and the stub on processor 0, the relay on the others\n\n",
		toolClients, toolTime, toolContent)
	fmt.Fprintln(w, "tool\trequests/s straight to the stub\tthrough proxymap\tCPU µs of proxymap for a request\tfaults")
	var faults []error
	var missing []string
	for _, tool := range tools {
		if _, err := exec.LookPath(tool.name); err != nil {
			missing = append(missing, fmt.Sprintf("NOT INSTALLED: %s (%s)", tool.name, tool.install))
			continue
		}
		faults = append(faults, tool.report(w, dir, t))
	}
	w.Flush()
	for _, line := range missing {
		fmt.Println(line)
	}
	if len(missing) == len(tools) {
		faults = append(faults, errors.New("none of the tools is installed"))
	}
	return errors.Join(faults...)
}

// report runs the tool twice and writes its line.
func (tool *tool) report(w io.Writer, dir string, t *target) error {
	straight, err := tool.run(dir, t.provider)
	if err != nil {
		return fmt.Errorf("%s, straight to the stub: %w", tool.name, err)
	}
	from := t.proc.CPU()
	through, err := tool.run(dir, t.proc.ports[0])
	if err != nil {
		return fmt.Errorf("%s: %w", tool.name, err)
	}
	cpu := float64((t.proc.CPU() - from).Nanoseconds()) / 1e3 / through.requests
	fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.2f\t%.0f\n", tool.name, straight.rate, through.rate, cpu, straight.faults+through.faults)
	if n := straight.faults + through.faults; n > 0 {
		return fmt.Errorf("%s: %.0f requests failed", tool.name, n)
	}
	return nil
}

func (tool *tool) run(dir string, proxy netip.AddrPort) (outcome, error) {
	args, err := tool.args(dir, proxy)
	if err != nil {
		return outcome{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), toolPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, tool.name, args...).CombinedOutput()
	if err != nil {
		return outcome{}, fmt.Errorf("%s %s: %w\n%.2000s", tool.name, strings.Join(args, " "), err, out)
	}
	return tool.parse(string(out))
}
