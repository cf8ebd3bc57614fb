package ctl

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Health is the command line of "proxymap health", as kong reads it. It asks the admin listener of a running relay, and is
// meant for what restarts or passes over a container by an exit status.
type Health struct {
	Alive   bool          `help:"Ask whether the process works (/healthz), which it does also while it drains or lacks ports; not whether clients are to be sent to it (/readyz)."`
	Config  string        `help:"Settings file of the relay: it tells the admin listener and the token." placeholder:"FILE" env:"PROXYMAP_CONFIG"`
	Admin   string        `help:"Ask the admin listener there." placeholder:"HOST:PORT"`
	Token   string        `help:"Admin.Token of the relay." env:"PROXYMAP_TOKEN"`
	Timeout time.Duration `help:"Time for the answer." default:"5s"`
}

// shownAnswer is how many bytes of an answer are shown: the line has room for some ports, and not for a hundred.
const shownAnswer = 500

// Run prints one line if all is well, and returns an error of one line else.
func (c Health) Run(e Env) error {
	call, err := c.call(e)
	if err != nil {
		if usage, ok := errors.AsType[*UsageError](err); ok {
			usage.command = "health"
		}
		return err
	}
	res, body, err := call.send(c.Timeout)
	if err != nil {
		return err
	}
	text := inOneLine(string(body))
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: answers %d: %s", call.server, res.StatusCode, text)
	}
	_, err = fmt.Fprintf(e.Out, "%s: %s\n", call.server, text)
	return err
}

// call is what is asked, and of whom.
func (c Health) call(e Env) (*sessionCall, error) {
	call := &sessionCall{method: "GET", path: "/readyz"}
	if c.Alive {
		call.path = "/healthz"
	}
	var set *Relay
	if c.Config != "" && c.Admin == "" {
		var err error
		if set, err = e.Settings(c.Config); err != nil {
			return nil, err
		}
	}
	return call, call.atAdmin(c.Admin, c.Token, set)
}

// inOneLine puts a text's lines into one, and cuts that off after a reason that still has room.
func inOneLine(text string) string {
	lines := strings.Split(strings.ToValidUTF8(strings.TrimSpace(text), "?"), "\n")
	line := lines[0][:min(len(lines[0]), shownAnswer)]
	for i, more := range lines[1:] {
		if len(line)+len(more) > shownAnswer {
			return fmt.Sprintf("%s; and %d more", line, len(lines)-1-i)
		}
		line += "; " + more
	}
	return line
}
