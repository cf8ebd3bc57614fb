package ctl

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"proxymap/session/wire"
)

// maxAnswer is how many bytes an answer may have: 65,535 ports are some twenty MiB.
const maxAnswer = 64 << 20

// A sessionCall is a call of the Session API, or of the admin listener.
type sessionCall struct {
	what         string // get, new, reset or list
	method, path string
	query        []string
	body         []byte
	parameters   wire.Parameters // of the new session: a port takes them in the query, the admin listener in the body

	server string // host:port that is asked
	port   int    // whose session it is about; 0 if the admin listener is asked
	host   string // domain that server is asked for as a proxy; empty: server itself is asked
	user   *url.Userinfo
	token  string
	header bool // server wants a PROXY header
	list   bool // the answer is a list
}

// add adds to the query.
func (c *sessionCall) add(name, value string) {
	c.query = append(c.query, url.QueryEscape(name)+"="+url.QueryEscape(value))
}

// do makes the call, and returns a good answer.
func (c *sessionCall) do(timeout time.Duration) (*answer, error) {
	res, body, err := c.send(timeout)
	switch {
	case err != nil:
		return nil, err
	case res.StatusCode != http.StatusOK:
		return nil, c.refused(res, body)
	}
	a, err := c.read(body)
	if err != nil || len(body) > maxAnswer {
		return nil, fmt.Errorf("%s: what answers there is no proxymap, or not for sessions: no JSON of theirs, or more than %d MiB", c.server, maxAnswer>>20)
	}
	return &a, nil
}

// send makes the call, and returns what it is answered, whatever that is. The response's body has been read: it is body, of
// which one byte more than maxAnswer says that there is more.
func (c *sessionCall) send(timeout time.Duration) (res *http.Response, body []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	target := url.URL{Scheme: "http", Host: c.server, Path: c.path, RawQuery: strings.Join(c.query, "&")}
	transport := &http.Transport{DisableKeepAlives: true}
	if c.header {
		transport.DialContext = dialWithHeader
	}
	if c.host != "" {
		target.Host = c.host
		transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: c.server, User: c.user})
	}
	req, err := http.NewRequestWithContext(ctx, c.method, target.String(), bytes.NewReader(c.body))
	if err != nil {
		return nil, nil, usagef("%s: %v", target.Host, err)
	}
	c.sign(req)
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if res, err = client.Do(req); err != nil {
		return nil, nil, c.unreachable(err, timeout)
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1)); err != nil {
		return nil, nil, c.unreachable(err, timeout)
	}
	return res, body, nil
}

// sign adds what a request has to show.
func (c *sessionCall) sign(req *http.Request) {
	req.Header.Set("X-Proxymap", "1")
	if c.user != nil && c.host == "" {
		password, _ := c.user.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(c.user.Username()+":"+password)))
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
}

// dialWithHeader connects to a port that wants a PROXY header, and sends one that names nobody: the caller is the client
// itself.
func dialWithHeader(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, "PROXY UNKNOWN\r\n"); err != nil {
		_ = conn.Close() // it is of no use
		return nil, err
	}
	return conn, nil
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
