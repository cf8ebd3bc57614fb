package ctl

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Health is the command line of "proxymap health", as kong reads it. It asks the admin listener of a running relay, and is
// meant for what restarts or passes over a container by an exit status.
type Health struct {
	Alive bool `help:"Ask whether the process works (/healthz), which it does also while it drains or lacks ports; not whether clients are to be sent to it (/readyz)."`
	adminFlags
	Timeout time.Duration `help:"Time for the answer." default:"5s"`
}

// shownAnswer is how many bytes of an answer are shown: the line has room for some ports, and not for a hundred.
const shownAnswer = 500

// Run prints one line if all is well, and returns an error of one line else.
func (c Health) Run(e Env) error {
	call := &sessionCall{method: "GET", path: "/readyz"}
	if c.Alive {
		call.path = "/healthz"
	}
	if err := c.address(e, call, "health"); err != nil {
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
