//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"proxymap/bench/proc"
	"proxymap/bench/provider"
)

const (
	user      = "customer"
	password  = "secret"
	apiDomain = "portmapper"

	adminPort = 10000
	firstPort = 10001

	drainTime = time.Second
)

// A mapping is some ports, and what ends their sessions.
type mapping struct {
	Policy
	name   string
	listen string // members of Listen
	bans   bool   // some requests are answered 403
	pauses bool   // at times the ports have no traffic
}

// mappings have each way in which a session ends, and each policy.
var mappings = []mapping{
	{name: "by calls, keep", Policy: Policy{Keep, time.Hour, 0, true}, listen: `"StickyProxyLifetime": "1h"`},
	{name: "by calls, close", Policy: Policy{Close, time.Hour, 0, true}, listen: `"StickyProxyLifetime": "1h", "OnRotate": "Close"`},
	{name: "expiry, drain", Policy: Policy{Drain, 3 * time.Second, 0, false}, listen: `"StickyProxyLifetime": "3s", "OnRotate": "Drain"`},
	{name: "expiry, close", Policy: Policy{Close, 2 * time.Second, 0, false}, listen: `"StickyProxyLifetime": "2s", "LifetimeJitter": 50, "OnRotate": "Close"`},
	{name: "requests, keep", Policy: Policy{Keep, time.Hour, 50, false}, listen: `"StickyProxyLifetime": "1h", "MaxRequests": 50, "OnRotate": "Keep"`},
	{name: "requests, close", Policy: Policy{Close, time.Hour, 500, false}, listen: `"StickyProxyLifetime": "1h", "MaxRequests": 500, "OnRotate": "Close"`},
	{name: "signals, close", Policy: Policy{Close, time.Hour, 0, false}, bans: true,
		listen: `"StickyProxyLifetime": "1h", "OnRotate": "Close", "RotateOn": [{"Status": [403], "Count": 2, "Within": "60s"}], "RotateMinInterval": "100ms"`},
	{name: "idle, drain", Policy: Policy{Drain, time.Hour, 0, false}, pauses: true,
		listen: `"StickyProxyLifetime": "1h", "IdleLifetime": "1s", "OnRotate": "Drain"`},
}

// A bed is proxymap with its providers, one for each mapping: it has so many source ports to each of them.
type bed struct {
	dir       string
	addr      netip.Addr
	perPort   int  // ports of each mapping
	keeps     bool // sessions, in a state file; without one answers come sooner
	providers []*provider.Provider
	process   *proc.Process
}

// beds counts those of this process: each has addresses of its own.
var beds atomic.Uint32

// newBed builds the program and starts the providers. close ends it all.
func newBed(o *options, observe func(provider.Sighting)) (*bed, error) {
	dir, err := os.MkdirTemp("", "identity")
	if err != nil {
		return nil, err
	}
	pid, number := byte(os.Getpid()), byte(beds.Add(1))
	b := &bed{dir: dir, addr: netip.AddrFrom4([4]byte{127, 78, pid, number}), perPort: o.Ports, keeps: o.Kill}
	err = proc.BuildIn(o.tree, dir, "proxymap")
	for i := range mappings {
		if err != nil {
			break
		}
		var p *provider.Provider
		p, err = provider.Start(provider.Config{
			Address: fmt.Sprintf("127.%d.%d.%d:0", 80+i, pid, number), User: user, Password: password, Records: -1,
			Observe: observe, Intercept: ban,
		})
		if err == nil {
			b.providers = append(b.providers, p)
		}
	}
	if err == nil {
		err = os.WriteFile(b.file(), []byte(b.settings()), 0o600)
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bed) file() string { return filepath.Join(b.dir, "proxymap.json") }

func (b *bed) close() {
	if b.process != nil {
		b.process.Stop()
	}
	for _, p := range b.providers {
		p.Close()
	}
	os.RemoveAll(b.dir)
}

// start starts the program, and waits until it serves.
func (b *bed) start() error {
	var err error
	b.process, err = proc.Start([]string{filepath.Join(b.dir, "proxymap"), "serve", "--config", b.file(), "--log-level", "warn"}, nil)
	if err != nil {
		return err
	}
	if err := b.healthy(); err != nil {
		b.process.Stop()
		return fmt.Errorf("proxymap does not serve: %w\n%s", err, b.process.Log())
	}
	return nil
}

// admin is the address of the admin listener.
func (b *bed) admin() netip.AddrPort { return netip.AddrPortFrom(b.addr, adminPort) }

// ports is how many there are.
func (b *bed) ports() int { return len(mappings) * b.perPort }

// port is the address of the i-th port.
func (b *bed) port(i int) netip.AddrPort { return netip.AddrPortFrom(b.addr, uint16(firstPort+i)) }

// mapping is that of the i-th port.
func (b *bed) mapping(i int) *mapping { return &mappings[i/b.perPort] }

// settings are the program's.
func (b *bed) settings() string {
	var list []string
	for i, m := range mappings {
		upstream := b.providers[i].Addr()
		list = append(list, fmt.Sprintf(`{
			"Listen": {"Address": %q, "PortRange": {"Start": %d, "End": %d}, "DrainTime": "%v", %s},
			"Authentication": {"SetAuthentication": true, "Username": %q, "Password": %q,
				"UsernameParameters": [{"Name": "session", "Value": "^[a-z0-9]{16}", "SessionId": true}]},
			"ProxyServers": {"Items": [{"Host": %q, "Port": %d}]}
		}`, b.addr, firstPort+i*b.perPort, firstPort+(i+1)*b.perPort-1, drainTime, m.listen, user, password, upstream.Addr(), upstream.Port()))
	}
	state := ""
	if b.keeps {
		state = `, "State": {"File": "state"}`
	}
	return fmt.Sprintf(`{"ProxyMappings": [%s], "SessionAPI": {"Enabled": true, "Domain": %q}, "Admin": {"Address": "%s"}%s}`,
		strings.Join(list, ","), apiDomain, b.admin(), state)
}
