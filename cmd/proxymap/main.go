package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/alecthomas/kong"

	"proxymap/cmd/proxymap/internal/ctl"
	"proxymap/cmd/proxymap/internal/settings"
	"proxymap/cmd/proxymap/internal/settings/start"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// commands is the command line.
type commands struct {
	Serve     serveCommand     `cmd:"" help:"Listen on ports and relay, as flags, variables or a settings file say."`
	Check     checkCommand     `cmd:"" help:"Validate settings and print how they were understood; nothing is started."`
	Ports     portsCommand     `cmd:"" help:"Print the addresses of all ports, one a line."`
	Init      initCommand      `cmd:"" help:"Write a commented settings file that does what flags and variables say."`
	Demo      demoCommand      `cmd:"" help:"Start a stub provider and a relay to it on a hundred ports from 10201 on, to try things out."`
	Providers providersCommand `cmd:"" help:"Print the presets for providers' credentials, which Authentication.Provider names."`
	Schema    schemaCommand    `cmd:"" help:"Print a JSON Schema of the settings, with which editors complete and check them."`
	Session   ctl.Command      `cmd:"" help:"Show, replace or remove the sessions of a running relay."`
	Health    ctl.Health       `cmd:"" help:"Ask a running relay whether clients are to be sent to it; the exit status says so."`
	Reload    ctl.Reload       `cmd:"" help:"Have a running relay read its settings again, and show what would change."`
	Version   versionCommand   `cmd:"" help:"Print the version."`

	ShowVersion kong.VersionFlag `name:"version" help:"Print the version."`
}

type serveCommand struct {
	settingsFlags
	start.ServeFlags
}

type demoCommand struct {
	FirstPort int `help:"First of the hundred ports." default:"10201"`

	Grace time.Duration `help:"On SIGINT or SIGTERM, time that exchanges and tunnels get to end." default:"1s"`
}

type versionCommand struct{}

// streams are where a command writes.
type streams struct{ out, err io.Writer }

// account is what stands before the host of a URL: it is not repeated where an argument is at fault.
var account = regexp.MustCompile(`://\S*@`)

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
		kong.NamedMapper("texts", textsMapper{}), kong.NamedMapper("optional", optionalMapper{}),
		kong.Vars{"version": versionText()},
		kong.Description("A TCP relay whose local ports are sticky sessions of an upstream proxy provider."),
		kong.Exit(func(code int) { panic(exitStatus(code)) }))
	if err != nil {
		panic(err) // commands is not what kong takes
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "proxymap: %s; see proxymap --help\n", account.ReplaceAllString(err.Error(), "://***@"))
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

// Run prints the version.
func (versionCommand) Run(s streams) error {
	_, err := fmt.Fprintln(s.out, versionText())
	return err
}

// versionText is what the build knows of itself.
func versionText() string {
	version, revision, goVersion := "unknown", "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		version, goVersion = info.Main.Version, info.GoVersion
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				revision = " " + setting.Value
			}
		}
	}
	return fmt.Sprintf("proxymap %s%s %s", version, revision, goVersion)
}

// askedRelay is what a settings file, and the environment, say of how to ask its relay.
func askedRelay(file string) (*ctl.Relay, error) {
	flags := settingsFlags{Config: &file, lackSecrets: true}
	set, err := flags.load()
	if err != nil {
		return nil, err
	}
	token := set.Admin.Token
	if token == settings.NotRead {
		token = "" // the relay's answer says that one is needed
	}
	return &ctl.Relay{Admin: set.Admin.Address, Token: token, Port: func(port int) (ctl.Port, bool) {
		a, known := set.Access(port)
		return ctl.Port{Address: a.Address, Enabled: a.API.Enabled, Domain: a.API.Domain, User: a.User, Header: a.Header}, known
	}}, nil
}
