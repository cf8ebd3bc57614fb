package ctl

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"proxymap/session/wire"
)

// An answer is what a call was answered with: its text, and that of the others which the call asked for.
type answer struct {
	text     []byte // as it came
	session  wire.Session
	reset    wire.Reset
	sessions wire.Sessions
}

// read reads an answer. A text that has not the member which makes it one is an error: a request for a domain that is not
// the Session API's goes to whoever has that name.
func (c *sessionCall) read(text []byte) (a answer, err error) {
	a.text = text
	switch {
	case c.list:
		err = wire.Read(text, "sessions", &a.sessions)
	case c.what == "reset":
		err = wire.Read(text, "success", &a.reset)
	default:
		err = wire.Read(text, "session_id", &a.session)
	}
	return a, err
}

// show prints an answer for people.
func (c *sessionCall) show(to io.Writer, a *answer) error {
	var out strings.Builder
	switch {
	case c.list:
		showSessions(&out, &a.sessions)
	case c.what == "reset":
		fmt.Fprintf(&out, "port %d: its session is removed; the next request makes another\n", c.port)
		showConnections(&out, a.reset.Connections)
	default:
		showSession(&out, c.port, &a.session)
	}
	_, err := io.WriteString(to, out.String())
	return err
}

func showSession(out io.Writer, port int, s *wire.Session) {
	table := newTable(out)
	fmt.Fprintln(table, "PORT\tSESSION\tEXPIRES\tMINUTES\tPARAMETERS")
	var list []string
	for _, p := range s.Parameters {
		list = append(list, p.Name+"="+p.Value)
	}
	slices.Sort(list)
	fmt.Fprintf(table, "%s\t%s\n", columns(port, s.ID, s.Expires, s.Expired, &s.Time), orDash(strings.Join(list, " ")))
	table.Flush()
	showConnections(out, s.Connections)
}

func showSessions(out io.Writer, list *wire.Sessions) {
	table := newTable(out)
	fmt.Fprintln(table, "PORT\tSESSION\tEXPIRES\tMINUTES\tCONNECTIONS\tTO UPSTREAM\tTO CLIENT")
	for i := range list.Sessions {
		s := &list.Sessions[i]
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\n", columns(int(s.Port), s.ID, s.Expires, s.Expired, s.Time), s.Open, s.Upstream, s.Client)
	}
	table.Flush()
	showConnections(out, list.Connections)
}

// columns are those that all tables have.
func columns(port int, id, expires *string, expired bool, minutes *float64) string {
	until := shown(expires)
	if expires != nil && expired {
		until += " (expired)"
	}
	time := "-"
	if minutes != nil && *minutes > 0 {
		time = strconv.FormatFloat(*minutes, 'g', 6, 64)
	}
	return fmt.Sprintf("%d\t%s\t%s\t%s", port, shown(id), until, time)
}

func showConnections(out io.Writer, c *wire.Connections) {
	if c != nil {
		fmt.Fprintf(out, "connections: %d closed, %d draining\n", c.Closed, c.Draining)
	}
}

// newTable aligns columns, which tabs end.
func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

func shown(s *string) string {
	if s == nil {
		return "-"
	}
	return orDash(*s)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
