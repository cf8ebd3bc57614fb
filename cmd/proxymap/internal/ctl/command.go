package ctl

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"proxymap/session/wire"
)

// Command is the command line of "proxymap session", as kong reads it. It asks a running relay: the Session API of one port,
// or the admin listener for several.
type Command struct {
	Get   sessionGet   `cmd:"" help:"Show a port's session; one that has none gets one."`
	New   sessionNew   `cmd:"" help:"Replace a port's session."`
	Reset sessionReset `cmd:"" help:"Remove a port's session; the next request makes another."`
	List  sessionList  `cmd:"" help:"Show the sessions of all ports, or of some; asks the admin listener."`
}

// Env is what the command gets of the program that it is part of.
type Env struct {
	Out io.Writer

	// Settings reads what a settings file says of a relay.
	Settings func(file string) (*Relay, error)
}

// A Relay is what its settings say of how to ask it.
type Relay struct {
	Admin netip.AddrPort              // the admin listener; not valid: there is none
	Token string                      // that it wants; empty: none
	Port  func(port int) (Port, bool) // false: it has no such port
}

// A Port is how a port is asked about its session.
type Port struct {
	Address netip.Addr    // that it listens on
	Enabled bool          // the Session API is
	Domain  string        // of the Session API; empty: the port is asked itself
	User    *url.Userinfo // credentials that it wants; nil: none
	Header  bool          // it wants a PROXY header
}

// sessionFlags say whom to ask, and how to show what it answers.
type sessionFlags struct {
	Port    string        `help:"Port; or with the admin listener ports, such as 10201-10250,10299, or all." placeholder:"PORTS"`
	Address string        `help:"Where the port is; 127.0.0.1, unless the settings say something else." placeholder:"IP"`
	Config  string        `help:"Settings file of the relay: it tells the domain, addresses, credentials and the token." placeholder:"FILE" env:"PROXYMAP_CONFIG"`
	Domain  string        `help:"SessionAPI.Domain of the relay; empty: the port is asked itself." placeholder:"NAME"`
	User    string        `help:"Credentials for a port that wants some." placeholder:"NAME:PASSWORD" env:"PROXYMAP_USER"`
	Admin   string        `help:"Ask the admin listener there." placeholder:"HOST:PORT"`
	Token   string        `help:"Admin.Token of the relay." env:"PROXYMAP_TOKEN"`
	JSON    bool          `help:"Print the answer as it came."`
	Timeout time.Duration `help:"Time for the answer." default:"15s"`
}

// rotateFlags are those of calls that change sessions.
type rotateFlags struct {
	OnRotate string `help:"What becomes of the session's connections: keep, drain or close; what the settings say unless given." enum:",keep,drain,close" default:"" placeholder:"HOW"`
}

type sessionGet struct{ sessionFlags }

type sessionNew struct {
	sessionFlags
	rotateFlags
	Parameters []string `arg:"" optional:"" name:"name=value" help:"Parameters of the new session, or of each port's."`
}

type sessionReset struct {
	sessionFlags
	rotateFlags
}

type sessionList struct{ sessionFlags }

func (c sessionGet) Run(e Env) error {
	call := sessionCall{what: "get", method: "GET", path: "/session/"}
	return c.run(e, &call)
}

func (c sessionNew) Run(e Env) error {
	call := sessionCall{what: "new", method: "GET", path: "/session/new"}
	for _, p := range c.Parameters {
		name, value, ok := strings.Cut(p, "=")
		switch {
		case !ok || name == "":
			return usagef("parameter %q: must be name=value", p)
		case name == "on_rotate":
			return usagef("parameter %q: the name is taken; use --on-rotate", p)
		}
		call.parameters = append(call.parameters, wire.Parameter{Name: name, Value: value})
	}
	return c.rotate(e, &call, &c.sessionFlags)
}

func (c sessionReset) Run(e Env) error {
	call := sessionCall{what: "reset", method: "GET", path: "/session/reset"}
	return c.rotate(e, &call, &c.sessionFlags)
}

func (c sessionList) Run(e Env) error {
	call := sessionCall{what: "list"}
	return c.run(e, &call)
}

func (c *rotateFlags) rotate(e Env, call *sessionCall, flags *sessionFlags) error {
	if c.OnRotate != "" {
		call.add("on_rotate", c.OnRotate)
	}
	return flags.run(e, call)
}

// run makes the call, and shows its answer.
func (c *sessionFlags) run(e Env, call *sessionCall) error {
	if err := checkPorts(c.Port); err != nil {
		return err
	}
	var set *Relay
	if c.Config != "" {
		var err error
		if set, err = e.Settings(c.Config); err != nil {
			return err
		}
	}
	_, notOne := strconv.Atoi(c.Port)
	address := c.toPort
	if call.what == "list" || c.Admin != "" || c.Port != "" && notOne != nil {
		address = c.toAdmin
	}
	if err := address(call, set); err != nil {
		return err
	}
	a, err := call.do(c.Timeout)
	switch {
	case err != nil:
		return err
	case c.JSON:
		_, err = fmt.Fprintln(e.Out, strings.TrimRight(string(a.text), "\n"))
		return err
	}
	return call.show(e.Out, a)
}

// toPort addresses a call to the Session API of a port.
func (c *sessionFlags) toPort(call *sessionCall, set *Relay) error {
	port, err := strconv.Atoi(c.Port)
	if err != nil {
		return usagef("--port is missing: the port whose session it is about")
	}
	address, domain := c.Address, c.Domain
	if set != nil {
		known, ok := set.Port(port)
		if !ok {
			return usagef("port %d: %s has no such port", port, c.Config)
		}
		if !known.Enabled {
			return fmt.Errorf("%s: SessionAPI.Enabled is not true, so the ports do not answer for their sessions", c.Config)
		}
		address, domain = cmp.Or(address, reachable(known.Address)), cmp.Or(domain, known.Domain)
		call.user, call.header = known.User, known.Header
	}
	for _, p := range call.parameters {
		call.add(p.Name, p.Value)
	}
	call.port, call.server, call.host = port, net.JoinHostPort(cmp.Or(address, "127.0.0.1"), c.Port), domain
	if c.User != "" {
		name, password, _ := strings.Cut(c.User, ":")
		call.user = url.UserPassword(name, password)
	}
	return nil
}

// toAdmin addresses a call to the admin listener.
func (c *sessionFlags) toAdmin(call *sessionCall, set *Relay) error {
	if err := call.atAdmin(c.Admin, c.Token, set); err != nil {
		return err
	}
	if c.Port == "" && call.what != "list" {
		return usagef("--port is missing: the ports whose sessions it is about, or all")
	}
	if c.Port != "" && (c.Port != wire.AllPorts || call.what == "new" || call.what == "reset") {
		call.add("ports", c.Port)
	}
	if len(call.parameters) > 0 {
		call.body = wire.Line(wire.Call{Parameters: call.parameters})
	}
	call.list, call.method, call.path = true, "POST", "/sessions/"+call.what
	if call.what == "get" || call.what == "list" {
		call.method, call.path = "GET", "/sessions"
	}
	return nil
}

// adminFlags say where the admin listener is.
type adminFlags struct {
	Config string `help:"Settings file of the relay: it tells the admin listener and the token." placeholder:"FILE" env:"PROXYMAP_CONFIG"`
	Admin  string `help:"Ask the admin listener there." placeholder:"HOST:PORT"`
	Token  string `help:"Admin.Token of the relay." env:"PROXYMAP_TOKEN"`
}

// address addresses a call of a command to it. The settings are not read if --admin says enough.
func (c *adminFlags) address(e Env, call *sessionCall, command string) error {
	var set *Relay
	if c.Config != "" && c.Admin == "" {
		var err error
		if set, err = e.Settings(c.Config); err != nil {
			return err
		}
	}
	err := call.atAdmin(c.Admin, c.Token, set)
	if usage, ok := errors.AsType[*UsageError](err); ok {
		usage.command = command
	}
	return err
}

// atAdmin addresses a call to the admin listener at a HOST:PORT, or if that is empty to the one of the settings, if there are
// any. The token of the settings is for theirs alone.
func (c *sessionCall) atAdmin(admin, token string, set *Relay) error {
	c.server, c.token = admin, token
	if admin == "" && set != nil && set.Admin.IsValid() {
		c.server = net.JoinHostPort(reachable(set.Admin.Addr()), strconv.Itoa(int(set.Admin.Port())))
		c.token = cmp.Or(token, set.Token)
	}
	if _, _, err := net.SplitHostPort(c.server); err != nil {
		return usagef("--admin %q: the admin listener is asked here, so its HOST:PORT must be given, or a --config that has Admin.Address", admin)
	}
	return nil
}

// reachable is an address to reach a listener of this machine by.
func reachable(listen netip.Addr) string {
	switch {
	case !listen.IsUnspecified():
		return listen.String()
	case listen.Is4():
		return "127.0.0.1"
	}
	return "::1"
}

// checkPorts looks at a list of ports: empty, all, or ports and ranges.
func checkPorts(list string) error {
	if list == "" || list == wire.AllPorts {
		return nil
	}
	if _, err := wire.ParsePorts(list); err != nil {
		return usagef("--port %v", err)
	}
	return nil
}

// A UsageError is about the command line, and not about what came of it.
type UsageError struct {
	text    string
	command string // whose help to see; empty: session
}

func (e *UsageError) Error() string {
	return e.text + "; see proxymap " + cmp.Or(e.command, "session") + " --help"
}

func usagef(format string, args ...any) error { return &UsageError{text: fmt.Sprintf(format, args...)} }
