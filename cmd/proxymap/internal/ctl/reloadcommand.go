package ctl

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"proxymap/session/wire"
)

// Reload is the command line of "proxymap reload", as kong reads it. It has the admin listener of a running relay read its
// settings again.
type Reload struct {
	DryRun bool `help:"Change nothing; show what would change, or every fault of the settings."`
	adminFlags
	JSON    bool          `help:"Print the answer as it came."`
	Timeout time.Duration `help:"Time for the answer." default:"30s"`
}

// againstTime is how long DryRun waits for an answer: the relay takes up to 20 s for it.
const againstTime = 30 * time.Second

// Run prints what would change. Faults, and keys that refuse a reload, are an error.
func (c Reload) Run(e Env) error {
	call := newReload(c.DryRun)
	if err := c.address(e, call, "reload"); err != nil {
		return err
	}
	r, text, refused := call.reload(c.Timeout)
	var err error
	switch {
	case r == nil:
	case c.JSON:
		_, err = fmt.Fprintln(e.Out, strings.TrimRight(string(text), "\n"))
	default:
		err = ShowReload(e.Out, r)
	}
	return cmp.Or(refused, err)
}

// DryRun asks the admin listener at a HOST:PORT what a reload would change. An error that comes with an answer says that a
// reload would be refused.
func DryRun(admin, token string) (*wire.Reload, error) {
	call := newReload(true)
	call.server, call.token = admin, token
	r, _, err := call.reload(againstTime)
	return r, err
}

func newReload(dryRun bool) *sessionCall {
	call := &sessionCall{method: "POST", path: "/reload"}
	if dryRun {
		call.add("dry_run", "true")
	}
	return call
}

// reload makes a call to /reload. A refusal that says what would change is an answer, and an error too.
func (c *sessionCall) reload(timeout time.Duration) (r *wire.Reload, text []byte, err error) {
	res, text, err := c.send(timeout)
	if err != nil {
		return nil, nil, err
	}
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusConflict:
		err = fmt.Errorf("%s: answers %d: a reload would be refused", c.server, res.StatusCode)
	case http.StatusUnprocessableEntity:
		return nil, nil, fmt.Errorf("%s: answers %d: %s", c.server, res.StatusCode, printableLines(string(text)))
	default:
		return nil, nil, c.refused(res, text)
	}
	r = &wire.Reload{}
	if len(text) > maxAnswer || wire.Read(text, "unchanged", r) != nil {
		return nil, nil, fmt.Errorf("%s: what answers there is no proxymap, or an old one: no JSON of a reload, or more than %d MiB", c.server, maxAnswer>>20)
	}
	return r, text, err
}

// printableLines is a text of several lines with ? for what a terminal might act upon.
func printableLines(text string) string {
	return strings.Map(func(c rune) rune {
		if c == '\n' || unicode.IsPrint(c) {
			return c
		}
		return '?'
	}, strings.ToValidUTF8(strings.TrimSpace(text), "?"))
}
