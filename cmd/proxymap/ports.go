package main

import (
	"errors"
	"syscall"
)

type portsCommand struct {
	settingsFlags
	Format string `help:"How a port is printed: ${enum}. A url holds the credentials that clients must bring, percent-encoded." enum:"ip:port,url" default:"ip:port"`
}

// Run prints the ports. Whoever reads them may have enough and go.
func (c portsCommand) Run(s streams) error {
	c.lackSecrets = c.Format != "url" // addresses have none
	set, err := c.load()
	if err != nil {
		return err
	}
	if err := set.WritePorts(s.out, c.Format == "url"); !errors.Is(err, syscall.EPIPE) {
		return err
	}
	return nil
}
