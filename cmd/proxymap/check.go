package main

import (
	"fmt"

	"proxymap/cmd/proxymap/internal/machine"
	"proxymap/cmd/proxymap/internal/settings"
)

type checkCommand struct {
	Config string `help:"Settings file." default:"appsettings.json" placeholder:"FILE"`
}

// Run prints a settings file as it was understood.
func (c checkCommand) Run(s streams) error {
	set, err := settings.Load(c.Config)
	if err != nil {
		return err
	}
	room, err := machine.Room(&set.Config)
	if err != nil {
		return err
	}
	set.Warnings = append(set.Warnings, machine.Warnings(&set.Config)...)
	if err := set.Describe(s.out); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, room)
	return err
}

type providersCommand struct{}

// Run prints the presets that settings may name.
func (providersCommand) Run(s streams) error { return settings.DescribeProviders(s.out) }
