//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"proxymap/bench/drive"
)

// lanes are the kinds of load, each with ports and a provider of its own. Together they are below what saturates two
// processors, and make fewer connections than there are local ports for.
var lanes = []drive.Scenario{
	{Kind: drive.Plain, Clients: 128, Rate: 500},
	{Kind: drive.Plain, Clients: 16, Rate: 50, Content: 100_000, Response: 200_000},
	{Kind: drive.Connect, Clients: 32, Rate: 100},
	{Kind: drive.Tunnel, Clients: 128, Rate: 500},
	{Kind: drive.Down, Clients: 4, Rate: 50 << 20},
	{Kind: drive.Up, Clients: 4, Rate: 50 << 20},
	{Kind: drive.Slow, Clients: 64, Rate: 5 << 20},
}

const (
	laneWarm   = 50 * time.Millisecond
	scriptRate = 20 * time.Millisecond // between two scripts of one kind
	scriptTime = 10 * time.Second      // for one
)

// providerOf is where the i-th lane's provider listens.
func providerOf(i int) netip.AddrPort { return netip.AddrPortFrom(ownAddr(74, byte(10+i)), 18080) }

// A tally counts what has become of the load.
type tally struct {
	mu          sync.Mutex
	connections int64
	errors      int64
	first       error
}

func (t *tally) add(connections, errors int64, first error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.connections += connections
	t.errors += errors
	if t.first == nil {
		t.first = first
	}
}

// load has all lanes and scripts run that long. It returns the relay's memory and descriptors in the midst of it.
func (s *soak) load(d time.Duration) (memory int64, descriptors int) {
	var wg sync.WaitGroup
	for i, lane := range lanes {
		lane.Proxies, lane.Provider, lane.Threads = s.relay.ports(i), providerOf(i), 1
		lane.Warm, lane.Duration = laneWarm, d
		wg.Go(func() {
			r, err := drive.Run(lane)
			switch {
			case err != nil:
				s.add(0, 1, fmt.Errorf("%s: %w", lane.Kind, err))
			case r.Errors > 0:
				s.add(r.Connections, r.Errors, fmt.Errorf("%s: %w", lane.Kind, r.FirstError))
			case r.Operations+r.Bytes == 0:
				s.add(r.Connections, 1, fmt.Errorf("%s: nothing was done", lane.Kind))
			default:
				s.add(r.Connections, 0, nil)
			}
		})
	}
	var stop atomic.Bool
	for i, port := range s.relay.ports(len(lanes)) {
		script := rotate
		if i%2 == 1 {
			script = leave
		}
		wg.Go(func() {
			for n := 0; !stop.Load(); n++ {
				if err := script(port, n); err != nil {
					s.add(1, 1, fmt.Errorf("script on %s: %w", port, err))
					return
				}
				s.add(1, 0, nil)
				time.Sleep(scriptRate)
			}
		})
	}
	time.Sleep(d / 2)
	memory = s.relay.Resident()
	_, descriptors = s.relay.Descriptors()
	time.Sleep(d - d/2)
	stop.Store(true)
	wg.Wait()
	return memory, descriptors
}

// rotate replaces the port's session, or drops it, and checks that the next request leaves with the new one.
func rotate(port netip.AddrPort, n int) error {
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: port.String()})}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: scriptTime}
	var before, asked, used struct {
		ID      string `json:"session_id"`
		Session string `json:"session"`
	}
	change := "new"
	if n%4 == 3 {
		change = "reset"
	}
	for _, step := range []struct {
		url  string
		into any
	}{
		{"http://portmapper/session/", &before},
		{"http://portmapper/session/" + change, &struct{}{}},
		{"http://portmapper/session/", &asked},
		{"http://ip.demo/", &used},
	} {
		res, err := client.Get(step.url)
		if err != nil {
			return err
		}
		err = json.NewDecoder(res.Body).Decode(step.into)
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 200 {
			return fmt.Errorf("%s: %s, %v", step.url, res.Status, err)
		}
	}
	if asked.ID == "" || asked.ID == before.ID || asked.ID != used.Session {
		return fmt.Errorf("session %q is replaced by %q, and the next request has %q", before.ID, asked.ID, used.Session)
	}
	return nil
}

// leave resets its connection somewhere in a tunnel or a request.
func leave(port netip.AddrPort, n int) error {
	conn, err := net.DialTimeout("tcp", port.String(), scriptTime)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(scriptTime))
	_ = conn.(*net.TCPConn).SetLinger(0)
	request := "CONNECT ip.demo:80 HTTP/1.1\r\nHost: ip.demo:80\r\n\r\n"
	inside := "GET / HTTP/1.1\r\nHost: ip.demo\r\n\r\n"
	switch n % 4 {
	case 0:
		request = request[:n%len(request)]
	case 1:
		request = "GET http://ip.demo/ HTTP/1.1\r\nHost: ip.demo\r\n\r\n"
	}
	if _, err := io.WriteString(conn, request); err != nil || n%4 < 2 {
		return err
	}
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); line != "HTTP/1.1 200 OK\r\n" {
		return fmt.Errorf("CONNECT: %q, %v", line, err)
	}
	if n%4 == 2 {
		inside = inside[:n%len(inside)]
	}
	_, err = io.WriteString(conn, inside)
	return err
}
