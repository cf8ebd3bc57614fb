package main

import (
	"errors"
	"os"
	"syscall"

	"proxymap/cmd/proxymap/internal/settings"
)

type portsCommand struct {
	Config string `help:"Settings file." default:"appsettings.json" placeholder:"FILE"`
	Format string `help:"How a port is printed: ${enum}. A url holds the credentials that clients must bring, percent-encoded." enum:"ip:port,url" default:"ip:port"`
}

// Run prints the ports. Whoever reads them may have enough and go.
func (c portsCommand) Run(s streams) error {
	set, err := settings.Load(settings.Sources{File: c.Config, Default: c.Config == defaultConfig, Environ: os.Environ()})
	if err != nil {
		return err
	}
	if err := set.WritePorts(s.out, c.Format == "url"); !errors.Is(err, syscall.EPIPE) {
		return err
	}
	return nil
}
