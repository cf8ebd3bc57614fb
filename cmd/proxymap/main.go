package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/alecthomas/kong"

	"proxymap/cmd/proxymap/internal/ctl"
	"proxymap/cmd/proxymap/internal/settings"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// commands is the command line.
type commands struct {
	Serve     serveCommand     `cmd:"" help:"Listen on the ports of a settings file and relay."`
	Check     checkCommand     `cmd:"" help:"Validate a settings file and print how it was understood; nothing is started."`
	Ports     portsCommand     `cmd:"" help:"Print the addresses of all ports of a settings file, one a line."`
	Demo      demoCommand      `cmd:"" help:"Start a stub provider and a relay to it on a hundred ports from 10201 on, to try things out."`
	Providers providersCommand `cmd:"" help:"Print the presets for providers' credentials, which Authentication.Provider names."`
	Schema    schemaCommand    `cmd:"" help:"Print a JSON Schema of the settings, with which editors complete and check them."`
	Session   ctl.Command      `cmd:"" help:"Show, replace or remove the sessions of a running relay."`
	Version   versionCommand   `cmd:"" help:"Print the version."`
}

// defaultConfig is the settings file that nobody needs to name, and which may be missing.
const defaultConfig = "appsettings.json"

type serveCommand struct {
	Config   string        `help:"Settings file." default:"appsettings.json" placeholder:"FILE"`
	Grace    time.Duration `help:"On SIGINT or SIGTERM, time that exchanges and tunnels get to end." default:"10s"`
	LogLevel string        `help:"Least level that is logged: ${enum}." enum:"debug,info,warn,error" default:"info"`
}

type demoCommand struct {
	FirstPort int `help:"First of the hundred ports." default:"10201"`

	Grace time.Duration `help:"On SIGINT or SIGTERM, time that exchanges and tunnels get to end." default:"1s"`
}

type versionCommand struct{}

// streams are where a command writes.
type streams struct{ out, err io.Writer }

// exitStatus leaves kong's parser, which ends the process where it prints its help.
type exitStatus int

// run carries out a command line and returns the exit status.
func run(args []string, stdout, stderr io.Writer) (status int) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exitStatus:
			status = int(r)
		default:
			panic(r)
		}
	}()
	var cli commands
	parser, err := kong.New(&cli, kong.Name("proxymap"), kong.UsageOnError(), kong.Writers(stdout, stderr),
		kong.Description("A TCP relay whose local ports are sticky sessions of an upstream proxy provider."),
		kong.Exit(func(code int) { panic(exitStatus(code)) }))
	if err != nil {
		panic(err) // commands is not what kong takes
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "proxymap: %v; see proxymap --help\n", err)
		return exitUsage
	}
	raiseOpenFiles()
	if err := ctx.Run(streams{stdout, stderr}, ctl.Env{Out: stdout, Settings: askedRelay}); err != nil {
		fmt.Fprintf(stderr, "proxymap: %v\n", err)
		if _, ok := errors.AsType[*ctl.UsageError](err); ok {
			return exitUsage
		}
		return exitFailure
	}
	return exitOK
}

// Run prints the version that the build knows of itself.
func (versionCommand) Run(s streams) error {
	version, revision, goVersion := "unknown", "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		version, goVersion = info.Main.Version, info.GoVersion
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				revision = " " + setting.Value
			}
		}
	}
	_, err := fmt.Fprintf(s.out, "proxymap %s%s %s\n", version, revision, goVersion)
	return err
}

// askedRelay is what a settings file says of how to ask its relay.
func askedRelay(file string) (*ctl.Relay, error) {
	set, err := settings.Load(settings.Sources{File: file, Environ: os.Environ()})
	if err != nil {
		return nil, err
	}
	return &ctl.Relay{Admin: set.Admin.Address, Token: set.Admin.Token, Port: func(port int) (ctl.Port, bool) {
		a, known := set.Access(port)
		return ctl.Port{Address: a.Address, Enabled: a.API.Enabled, Domain: a.API.Domain, User: a.User, Header: a.Header}, known
	}}, nil
}
