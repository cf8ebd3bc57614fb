package main

import (
	"fmt"

	"proxymap/cmd/proxymap/internal/machine"
	"proxymap/cmd/proxymap/internal/settings"
	"proxymap/cmd/proxymap/internal/settings/schema"
)

type checkCommand struct {
	settingsFlags
	Origins bool `help:"Print each value, and which layer it comes from."`
}

// Run prints settings as they were understood.
func (c checkCommand) Run(s streams) error {
	set, err := c.load()
	if err != nil {
		return err
	}
	room, err := machine.Room(&set.Config)
	if err != nil {
		return err
	}
	set.Warnings = append(set.Warnings, machine.Warnings(&set.Config)...)
	if err := set.DescribeLayers(s.out, c.Origins); err != nil {
		return err
	}
	if err := set.Describe(s.out); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, room)
	return err
}

type schemaCommand struct{}

// Run prints a JSON Schema of the settings.
func (schemaCommand) Run(s streams) error {
	_, err := s.out.Write(schema.JSON())
	return err
}

type providersCommand struct{}

// Run prints the presets that settings may name.
func (providersCommand) Run(s streams) error { return settings.DescribeProviders(s.out) }
