//go:build linux

package main

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"proxymap/bench/proc"
)

// A peer is a relay to be measured. All are given the same job: listen on some ports, send every request to one
// upstream proxy, put credentials on it.
type peer struct {
	name    string
	program string // that has to be installed
	onePort bool   // listens on one port only
	command func(j job) (args []string, err error)
}

// A job is what a peer is told to do.
type job struct {
	dir      string // scratch
	address  netip.Addr
	ports    []uint16 // consecutive
	provider netip.AddrPort
	cpus     int
	binaries string // folder of what was built
}

const (
	user     = "customer-session-abcdefgh"
	password = "secret"
)

func basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func (j *job) write(name, text string) (string, error) {
	path := filepath.Join(j.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

var peers = []peer{
	{name: "proxymap", command: func(j job) ([]string, error) { return proxymap(j, "proxymap") }},
	{name: "proxymap, netpoll", command: func(j job) ([]string, error) { return proxymap(j, "proxymap-netpoll") }},
	{name: "haproxy", program: "haproxy", command: func(j job) ([]string, error) { return haproxy(j, false) }},
	{name: "haproxy, splice", program: "haproxy", command: func(j job) ([]string, error) { return haproxy(j, true) }},
	{name: "goroutines", command: goroutines},
	{name: "squid", program: "squid", command: squid},
	{name: "tinyproxy", program: "tinyproxy", onePort: true, command: tinyproxy},
}

func proxymap(j job, binary string) ([]string, error) {
	path, err := j.write("proxymap.json", fmt.Sprintf(`{
		"Listen": {"Address": %q, "PortRange": {"Start": %d, "End": %d}, "StickyProxyLifetime": 60},
		"Authentication": {"SetAuthentication": true, "Username": "customer", "Password": %q,
			"UsernameParameters": [{"Name": "session", "Value": "^[a-z]{8}", "SessionId": true}]},
		"ProxyServers": {"Items": [{"Host": %q, "Port": %d}]}
	}`, j.address, j.ports[0], j.ports[len(j.ports)-1], password, j.provider.Addr(), j.provider.Port()))
	return []string{filepath.Join(j.binaries, binary), "serve", "--config", path, "--log-level", "warn"}, err
}

// haproxy's limits are such that it starts with 20,000 descriptors, which without maxpipes it would not, splicing. With
// splice-auto alone it does not splice tunnels.
func haproxy(j job, splice bool) ([]string, error) {
	pipes, options := "", ""
	if splice {
		pipes = "maxpipes 512\n  tune.pipesize 1048576"
		options = "option splice-request\n  option splice-response"
	}
	path, err := j.write("haproxy.cfg", fmt.Sprintf(`
global
  nbthread %d
  maxconn 8500
  %s
defaults
  mode http
  timeout connect 10s
  timeout client 1h
  timeout server 1h
  option http-keep-alive
  http-reuse always
  %s
frontend clients
  bind %s:%d-%d
  http-request set-header Proxy-Authorization "%s"
  default_backend upstream
backend upstream
  server provider %s
`, j.cpus, pipes, options, j.address, j.ports[0], j.ports[len(j.ports)-1], basic(), j.provider))
	return []string{"haproxy", "-db", "-f", path}, err
}

func goroutines(j job) ([]string, error) {
	return []string{filepath.Join(j.binaries, "compare"), "goroutines", j.address.String(), strconv.Itoa(int(j.ports[0])), strconv.Itoa(len(j.ports)),
		j.provider.String(), basic()}, nil
}

func squid(j job) ([]string, error) {
	var ports strings.Builder
	for _, p := range j.ports {
		fmt.Fprintf(&ports, "http_port %s:%d\n", j.address, p)
	}
	path, err := j.write("squid.conf", fmt.Sprintf(`%s
cache_peer %s parent %d 0 no-query no-digest no-netdb-exchange default connect-fail-limit=1000000 login=%s:%s
acl everybody src all
http_access allow everybody
never_direct allow all
cache deny all
cache_mem 8 MB
access_log none
cache_log /dev/null
cache_store_log none
pid_filename none
coredump_dir %s
via off
forwarded_for delete
shutdown_lifetime 0 seconds
max_filedescriptors 19000
workers 1
`, ports.String(), j.provider.Addr(), j.provider.Port(), user, password, j.dir))
	return []string{"squid", "-N", "-f", path}, err
}

func tinyproxy(j job) ([]string, error) {
	path, err := j.write("tinyproxy.conf", fmt.Sprintf(`Listen %s
Port %d
MaxClients 9000
Timeout 600
LogLevel Critical
LogFile "/dev/null"
DisableViaHeader Yes
Upstream http %s:%s@%s
`, j.address, j.ports[0], user, password, j.provider))
	return []string{"tinyproxy", "-d", "-c", path}, err
}

// A process is a peer at work.
type process struct {
	*proc.Process
	ports []netip.AddrPort
}

// start runs a peer on the given processors until it is stopped, and waits until its ports answer.
func (p *peer) start(j job, cpus *unix.CPUSet) (*process, error) {
	args, err := p.command(j)
	if err != nil {
		return nil, err
	}
	ports := j.ports
	if p.onePort {
		ports = ports[:1]
	}
	started, err := proc.Start(args, cpus)
	if err != nil {
		return nil, err
	}
	running := &process{Process: started}
	for _, port := range ports {
		addr := netip.AddrPortFrom(j.address, port)
		running.ports = append(running.ports, addr)
		if err := running.Await(addr); err != nil {
			running.Stop()
			return nil, fmt.Errorf("%s: %w\n%s", p.name, err, running.Log())
		}
	}
	return running, nil
}
