package main

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	neturl "net/url"
	"strings"
	"testing"

	"proxymap/cmd/proxymap/internal/admin"
	"proxymap/relay"
	"proxymap/relay/hostrule"
)

// servedRelay is the configuration of a relay to a stub provider, with a port that is free.
func servedRelay(t *testing.T) relay.Config {
	t.Helper()
	cfg, err := demoConfig(startProvider(t), 10201, 10201)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Mappings[0].First, cfg.Mappings[0].Last = 0, 0
	return cfg
}

func loopback(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
}

// serve has the admin listener up with the relay and down behind it, and lets no client through to it.
func TestServeAdmin(t *testing.T) {
	cfg := servedRelay(t)
	cfg.Mappings[0].Action, cfg.Mappings[0].AllowLocalTargets = hostrule.Bypass, true
	listener := admin.Config{Address: loopback(freePort(t))}
	cfg.OtherPorts = []netip.AddrPort{listener.Address} // as the settings have it
	url := "http://" + listener.Address.String() + "/healthz"
	started := make(chan *relay.Relay, 1)
	served := make(chan error, 1)
	go func() {
		served <- serve(cfg, listener, "", 0, slog.New(slog.DiscardHandler), func(r *relay.Relay) { started <- r })
	}()
	var r *relay.Relay
	select {
	case r = <-started:
	case err := <-served:
		t.Fatal(err)
	}
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	proxy := http.ProxyURL(&neturl.URL{Scheme: "http", Host: r.Ports()[0].String()})
	client := http.Client{Timeout: patience, Transport: &http.Transport{Proxy: proxy, DisableKeepAlives: true}}
	if res, err = client.Get(url); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("a client that asks for the admin listener gets %s", res.Status)
	}
	r.Shutdown(0)
	if err := <-served; err != nil {
		t.Error(err)
	}
	if res, err := http.Get(url); err == nil {
		res.Body.Close()
		t.Error("the admin listener is there after the relay's end")
	}
}

// An admin address that is taken is an error that names it, and the relay's ports are free again.
func TestServeAdminTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := servedRelay(t)
	port := loopback(freePort(t))
	cfg.Mappings[0].First, cfg.Mappings[0].Last = port.Port(), port.Port()
	taken := l.Addr().(*net.TCPAddr).AddrPort()
	err = serve(cfg, admin.Config{Address: taken}, "", 0, slog.New(slog.DiscardHandler), nil)
	if want := "Admin.Address " + taken.String(); err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("got %v; want an error that names %s", err, want)
	}
	again, err := net.Listen("tcp", port.String())
	if err != nil {
		t.Fatalf("the relay's port is still taken: %v", err)
	}
	again.Close()
}
