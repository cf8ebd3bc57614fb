package ctl

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// maxAnswer is how many bytes an answer may have: 65,535 ports are some twenty MiB.
const maxAnswer = 64 << 20

// A sessionCall is a call of the Session API, or of the admin listener.
type sessionCall struct {
	what         string // get, new, reset or list
	method, path string
	query        []string
	parameters   bool // there are some of a session in the query

	server string // host:port that is asked
	port   int    // whose session it is about; 0 if the admin listener is asked
	host   string // domain that server is asked for as a proxy; empty: server itself is asked
	user   *url.Userinfo
	token  string
	list   bool // the answer is a list
}

// add adds to the query.
func (c *sessionCall) add(name, value string) {
	c.query = append(c.query, url.QueryEscape(name)+"="+url.QueryEscape(value))
}

// isAnswer reports whether the content of a good answer is one to that call: a request for a domain that is not the Session
// API's goes to whoever has that name.
func (c *sessionCall) isAnswer(body []byte) bool {
	member := "session_id"
	switch {
	case c.list:
		member = "sessions"
	case c.what == "reset":
		member = "success"
	}
	var answer map[string]json.RawMessage
	err := json.Unmarshal(body, &answer)
	_, there := answer[member]
	return err == nil && there
}

// do makes the call, and returns the content of a good answer.
func (c *sessionCall) do(timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	target := url.URL{Scheme: "http", Host: c.server, Path: c.path, RawQuery: strings.Join(c.query, "&")}
	transport := &http.Transport{DisableKeepAlives: true}
	if c.host != "" {
		target.Host = c.host
		transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: c.server, User: c.user})
	}
	req, err := http.NewRequestWithContext(ctx, c.method, target.String(), nil)
	if err != nil {
		return nil, usagef("%s: %v", target.Host, err)
	}
	req.Header.Set("X-Proxymap", "1")
	if c.user != nil && c.host == "" {
		password, _ := c.user.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(c.user.Username()+":"+password)))
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return nil, c.unreachable(err, timeout)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, c.unreachable(err, timeout)
	case res.StatusCode != http.StatusOK:
		return nil, c.refused(res, body)
	case len(body) > maxAnswer || !c.isAnswer(body):
		return nil, fmt.Errorf("%s: what answers there is no proxymap, or not for sessions: no JSON of theirs, or more than %d MiB", c.server, maxAnswer>>20)
	}
	return body, nil
}

// unreachable says that there was no answer.
func (c *sessionCall) unreachable(err error, timeout time.Duration) error {
	if asked, ok := errors.AsType[*url.Error](err); ok {
		err = asked.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: no answer within %v; a longer --timeout may help", c.server, timeout)
	}
	return fmt.Errorf("%s: cannot be asked: %w; does proxymap listen there?", c.server, err)
}

// refused says what the relay does not like, with the class of its error.
func (c *sessionCall) refused(res *http.Response, body []byte) error {
	line, _, _ := strings.Cut(strings.TrimSpace(string(body[:min(len(body), 1000)])), "\n")
	line = strings.TrimPrefix(line, "proxymap: ")
	class := res.Header.Get("X-Proxymap-Error")
	if class != "" {
		class = " " + class
	}
	hint := ""
	switch {
	case c.port == 0: // the admin listener has no domain
	case c.host == "" && (res.StatusCode == http.StatusBadRequest || class == ""):
		hint = "; if the relay has a SessionAPI.Domain, give it by --domain or --config"
	case c.host != "" && class == "":
		hint = fmt.Sprintf("; the answer is not the relay's: is its SessionAPI.Domain %q?", c.host)
	}
	return fmt.Errorf("%s: answers %d%s: %s%s", c.server, res.StatusCode, class, strconv.QuoteToGraphic(line), hint)
}

// A sessionView is a session as an answer shows it.
type sessionView struct {
	Port       int               `json:"port"`
	ID         *string           `json:"session_id"`
	Expires    *string           `json:"expires_at"`
	Expired    bool              `json:"expired"`
	Minutes    *float64          `json:"session_time"`
	Parameters map[string]string `json:"username_parameters"`
}

// A portView is a session in a list.
type portView struct {
	sessionView
	Connections int64 `json:"connections"`
	ToUpstream  int64 `json:"bytes_to_upstream"`
	ToClient    int64 `json:"bytes_to_client"`
}

// A rotationView is what a rotation has done to connections.
type rotationView struct{ Closed, Draining int64 }

// show prints an answer for people.
func (c *sessionCall) show(w io.Writer, body []byte) error {
	if c.list {
		return c.showList(w, body)
	}
	var answer struct {
		sessionView
		Connections *rotationView
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%s: the answer is not as expected: %w; --json prints it", c.server, err)
	}
	var out strings.Builder
	if c.what == "reset" {
		fmt.Fprintf(&out, "port %d: its session is removed; the next request makes another\n", c.port)
	} else {
		table := newTable(&out)
		fmt.Fprintln(table, "PORT\tSESSION\tEXPIRES\tMINUTES\tPARAMETERS")
		answer.Port = c.port
		fmt.Fprintf(table, "%s\t%s\n", answer.columns(), orDash(answer.parameters()))
		table.Flush()
	}
	answer.Connections.show(&out)
	_, err := io.WriteString(w, out.String())
	return err
}

func (c *sessionCall) showList(w io.Writer, body []byte) error {
	var answer struct {
		Sessions    []portView
		Connections *rotationView
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%s: the answer is not as expected: %w; --json prints it", c.server, err)
	}
	var out strings.Builder
	table := newTable(&out)
	fmt.Fprintln(table, "PORT\tSESSION\tEXPIRES\tMINUTES\tCONNECTIONS\tTO UPSTREAM\tTO CLIENT")
	for i := range answer.Sessions {
		s := &answer.Sessions[i]
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\n", s.columns(), s.Connections, s.ToUpstream, s.ToClient)
	}
	table.Flush()
	answer.Connections.show(&out)
	_, err := io.WriteString(w, out.String())
	return err
}

// columns are those that all tables have.
func (s *sessionView) columns() string {
	id, expires, minutes := "-", "-", "-"
	if s.ID != nil {
		id = orDash(*s.ID)
	}
	if s.Expires != nil {
		expires = orDash(*s.Expires)
		if s.Expired {
			expires += " (expired)"
		}
	}
	if s.Minutes != nil && *s.Minutes > 0 {
		minutes = strconv.FormatFloat(*s.Minutes, 'g', 6, 64)
	}
	return fmt.Sprintf("%d\t%s\t%s\t%s", s.Port, id, expires, minutes)
}

func (s *sessionView) parameters() string {
	var list []string
	for name, value := range s.Parameters {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func (v *rotationView) show(out *strings.Builder) {
	if v != nil {
		fmt.Fprintf(out, "connections: %d closed, %d draining\n", v.Closed, v.Draining)
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// newTable aligns columns, which tabs end.
func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }
