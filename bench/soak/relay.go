//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"proxymap/bench/proc"
)

const (
	user     = "customer"
	password = "secret"

	firstPort = 10001
	lanePorts = 4
)

// A relay is proxymap at work, with some ports for each lane of load, and behind them some for the scripts.
type relay struct {
	*proc.Process
	addr netip.Addr
}

// ownAddr is a loopback address that is this process's own, as far as pids go.
func ownAddr(kind, last byte) netip.Addr {
	return netip.AddrFrom4([4]byte{127, kind, byte(os.Getpid()), last})
}

// startRelay starts proxymap on an address that ends in last.
func startRelay(dir string, last byte, scripts netip.AddrPort) (*relay, error) {
	r := &relay{addr: ownAddr(73, last)}
	path := filepath.Join(dir, "proxymap.json")
	text := r.settings(scripts)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	var err error
	r.Process, err = proc.Start([]string{filepath.Join(dir, "proxymap"), "serve", "--config", path, "--log-level", "warn"}, nil)
	if err != nil {
		return nil, err
	}
	if err := r.Await(r.ports(len(lanes))[lanePorts-1]); err != nil {
		r.Stop()
		return nil, fmt.Errorf("proxymap: %w\n%s", err, r.Log())
	}
	if err := r.answers(); err != nil {
		r.Stop()
		return nil, fmt.Errorf("proxymap does not answer on %s: %w\n%s", r.addr, err, r.Log())
	}
	return r, nil
}

// answers waits for an answer of the relay's own. A port that takes a connection says no more than that it is bound: the
// goroutines that serve it may still be to come.
func (r *relay) answers() error {
	conn, err := net.Dial("tcp", r.ports(0)[0].String())
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: nobody\r\n\r\n"); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, make([]byte, len("HTTP/1.1 400")))
	return err
}

// settings are proxymap's, with a mapping for each lane and one for the scripts, whose provider is at scripts.
func (r *relay) settings(scripts netip.AddrPort) string {
	var mappings []string
	for i := range len(lanes) + 1 {
		upstream := scripts
		if i < len(lanes) {
			upstream = providerOf(i)
		}
		ports := r.ports(i)
		mappings = append(mappings, fmt.Sprintf(`{
			"Listen": {"Address": %q, "PortRange": {"Start": %d, "End": %d}, "StickyProxyLifetime": 60},
			"Authentication": {"SetAuthentication": true, "Username": %q, "Password": %q,
				"UsernameParameters": [{"Name": "session", "Value": "^[a-z]{8}", "SessionId": true}]},
			"ProxyServers": {"Items": [{"Host": %q, "Port": %d}]}
		}`, r.addr, ports[0].Port(), ports[lanePorts-1].Port(), user, password, upstream.Addr(), upstream.Port()))
	}
	return fmt.Sprintf(`{"ProxyMappings": [%s], "SessionAPI": {"Enabled": true, "Domain": "portmapper"}}`, strings.Join(mappings, ","))
}

// ports are those of the i-th lane.
func (r *relay) ports(i int) (list []netip.AddrPort) {
	for n := range lanePorts {
		list = append(list, netip.AddrPortFrom(r.addr, uint16(firstPort+i*lanePorts+n)))
	}
	return list
}
