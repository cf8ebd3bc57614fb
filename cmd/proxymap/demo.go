package main

import (
	"fmt"
	"io"
	"log/slog"

	"proxymap/bench/provider"
	"proxymap/cmd/proxymap/internal/admin"
	"proxymap/cmd/proxymap/internal/settings"
	"proxymap/relay"
)

const (
	demoUser     = "demo"
	demoPassword = "demo"
	demoPorts    = 100
)

// demoSettings is a settings file like any other; only the ports and the provider's are put in.
const demoSettings = `{
  "Listen": {"PortRange": {"Start": %d, "End": %d}, "StickyProxyLifetime": 10},
  "Authentication": {
    "SetAuthentication": true, "Username": "demo", "Password": "demo",
    "UsernameParameters": [
      {"Name": "session", "Value": "^[A-Za-z]{8}", "SessionId": true},
    ],
  },
  "ProxyServers": {"Items": [{"Host": "127.0.0.1", "Port": %d}]},
  "SessionAPI": {"Enabled": true, "Domain": "portmapper"},
}`

// Run starts the stub provider and a relay to it.
func (c demoCommand) Run(s streams) error {
	log, flush := newLog(s.err, slog.LevelInfo)
	defer flush()
	p, err := provider.Start(provider.Config{User: demoUser, Password: demoPassword, Records: -1})
	if err != nil {
		return err
	}
	defer p.Close()
	cfg, err := demoConfig(p, c.FirstPort, c.FirstPort+demoPorts-1)
	if err != nil {
		return err
	}
	cfg.Log = log
	return serve(cfg, admin.Config{}, "", c.Grace, log, func(r *relay.Relay) { printDemo(s.out, r) })
}

// demoConfig reads the demo's settings for those ports.
func demoConfig(p *provider.Provider, first, last int) (relay.Config, error) {
	text := fmt.Sprintf(demoSettings, first, last, p.Addr().Port())
	set, err := settings.Parse("demo settings", []byte(text))
	if err != nil {
		return relay.Config{}, err
	}
	return set.Config, nil
}

// printDemo says what to try, with the first two ports.
func printDemo(w io.Writer, r *relay.Relay) {
	a, b := r.Ports()[0], r.Ports()[1]
	fmt.Fprintf(w, `A stub provider and a relay to it are running; Ctrl-C ends them. Try, in another terminal:

  curl -x http://%[1]s http://ip.demo/
  curl -x http://%[2]s http://ip.demo/
  curl -x http://%[1]s http://portmapper/session/
  curl -x http://%[1]s http://portmapper/session/new
  curl -x http://%[1]s http://ip.demo/

The exit address is the port's own, stays, and changes with the new session.
`, a, b)
}
