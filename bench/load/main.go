//go:build linux

package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"proxymap/bench/drive"
)

type options struct {
	Kind string `arg:"" enum:"plain,connect,socks,tunnel,down,up,idle,slow" help:"What the clients do: plain (requests on kept connections), connect (CONNECT, one request, close), socks (the same with SOCKS5), tunnel (requests in standing tunnels), down and up (bulk), idle (tunnels that are quiet), slow (bulk to clients that read at --rate)."`

	Via      string        `help:"The relay's ports: addresses divided by commas, each with a port or a range of ports. Empty: straight to the provider." placeholder:"127.0.0.1:10201-10300"`
	Provider string        `help:"Where the provider listens." default:"127.0.0.1:18080"`
	Clients  int           `help:"Connections at a time." default:"64"`
	Threads  int           `help:"Event loops that play clients and provider." default:"2"`
	Rate     float64       `help:"Open loop: operations begun each second; latency counts from when one was due. Of down, up and slow: bytes a second. 0: closed loop." default:"0"`
	Request  int           `help:"Bytes of a request in a tunnel." default:"256"`
	Response int           `help:"Bytes of a response's content." default:"1024"`
	Content  int           `help:"Bytes of content that plain requests carry." default:"0"`
	Streams  int           `help:"Bulk streams beside the clients." default:"0"`
	Time     time.Duration `help:"How long the clock runs." default:"3s"`
}

func main() {
	var o options
	kong.Parse(&o, kong.Description("Put a relay under load. It plays the clients and the provider."), kong.UsageOnError())
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func (o *options) run() error {
	provider, err := netip.ParseAddrPort(o.Provider)
	if err != nil {
		return fmt.Errorf("--provider: %w", err)
	}
	proxies, err := parsePorts(o.Via)
	if err != nil {
		return fmt.Errorf("--via: %w", err)
	}
	r, err := drive.Run(drive.Scenario{
		Kind: drive.Kind(o.Kind), Proxies: proxies, Provider: provider, Clients: o.Clients, Threads: o.Threads, Rate: o.Rate,
		Request: o.Request, Response: o.Response, Content: o.Content, Streams: o.Streams, Duration: o.Time,
	})
	if err != nil {
		return err
	}
	report(os.Stdout, r)
	if r.Errors > 0 {
		return fmt.Errorf("%d errors, the first: %w", r.Errors, r.FirstError)
	}
	return nil
}

// report writes what a scenario has come to.
func report(w io.Writer, r *drive.Result) {
	fmt.Fprintf(w, "%d operations in %v: %.0f a second\n", r.Operations, r.Elapsed.Round(time.Millisecond), r.Rate())
	if r.Latency(0) > 0 {
		fmt.Fprintf(w, "latency p50 %v  p99 %v  p999 %v\n", r.Latency(.5), r.Latency(.99), r.Latency(.999))
	}
	if r.Bytes > 0 {
		fmt.Fprintf(w, "%.0f MiB a second\n", float64(r.Bytes)/r.Elapsed.Seconds()/(1<<20))
	}
	if r.Background > 0 {
		fmt.Fprintf(w, "%.0f MiB a second beside them\n", float64(r.Background)/r.Elapsed.Seconds()/(1<<20))
	}
}

// parsePorts reads addresses divided by commas, each with a port or a range of them.
func parsePorts(s string) (list []netip.AddrPort, err error) {
	for part := range strings.SplitSeq(s, ",") {
		if part == "" {
			continue
		}
		first, last, isRange := part, "", false
		if i := strings.LastIndexByte(part, '-'); i >= 0 {
			first, last, isRange = part[:i], part[i+1:], true
		}
		from, err := netip.ParseAddrPort(first)
		if err != nil {
			return nil, err
		}
		to := uint64(from.Port())
		if isRange {
			if to, err = strconv.ParseUint(last, 10, 16); err != nil || to < uint64(from.Port()) {
				return nil, fmt.Errorf("%q is not a range of ports, such as 127.0.0.1:10201-10300", part)
			}
		}
		for port := uint64(from.Port()); port <= to; port++ {
			list = append(list, netip.AddrPortFrom(from.Addr(), uint16(port)))
		}
	}
	return list, nil
}
