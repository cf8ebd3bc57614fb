package main

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"os"

	"proxymap/cmd/proxymap/internal/ctl"
	"proxymap/cmd/proxymap/internal/machine"
	"proxymap/cmd/proxymap/internal/settings"
	"proxymap/cmd/proxymap/internal/settings/schema"
)

type checkCommand struct {
	settingsFlags
	Origins bool   `help:"Print each value, and which layer it comes from."`
	Against string `help:"Ask the admin listener there, too, what a reload would change. The relay reads its files itself: nothing of what is checked is sent." placeholder:"HOST:PORT"`
	Token   string `help:"Admin.Token of that relay, unless the settings have its address and token." env:"PROXYMAP_TOKEN"`
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
	if _, err = fmt.Fprintln(s.out, room); err != nil || c.Against == "" {
		return err
	}
	return c.against(s.out, set)
}

// Validate is called by kong.
func (c *checkCommand) Validate() error {
	if _, _, err := net.SplitHostPort(c.Against); c.Against != "" && err != nil {
		return fmt.Errorf("--against %q: must be the HOST:PORT of an admin listener", c.Against)
	}
	return nil
}

// against shows what a reload of a running relay would change. The relay reads the file that it was started with, so the one
// that was checked here must be that one, or the answer would be taken for one about another.
func (c *checkCommand) against(out io.Writer, set *settings.Settings) error {
	token := c.Token
	if set.Admin.Address.IsValid() && set.Admin.Address.String() == c.Against {
		token = cmp.Or(token, set.Admin.Token)
	}
	would, refused := ctl.DryRun(c.Against, token)
	if would == nil {
		return refused
	}
	if !sameFile(would.File, set.File) {
		return fmt.Errorf("--against %s: the relay there reads %s, and what was checked here is %s; a reload takes no other file",
			c.Against, cmp.Or(would.File, "no file"), cmp.Or(set.File, "no file"))
	}
	if _, err := fmt.Fprintf(out, "\nagainst %s, as the relay there reads its files:\n", c.Against); err != nil {
		return err
	}
	err := ctl.ShowReload(out, would)
	return cmp.Or(refused, err)
}

// sameFile reports whether two paths lead to one file; neither does to any if there is none.
func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	other, otherErr := os.Stat(b)
	return a == b || err == nil && otherErr == nil && os.SameFile(one, other)
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
