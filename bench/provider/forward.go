package provider

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A client is one connection of the provider's, and the origin that its last plain request went to.
type client struct {
	p    *Provider
	id   int64
	conn net.Conn
	r    *bufio.Reader

	user, session string
	allowed       bool

	origin     net.Conn
	originR    *bufio.Reader
	originHost string
}

// An originConn tells the connections to origins from those of clients.
type originConn struct{ *net.TCPConn }

const demoHost = "ip.demo"

// isDemo reports whether a host is answered for by the provider itself: ip.demo, and all under it.
func isDemo(host string) bool {
	rest, is := strings.CutSuffix(host, demoHost)
	return is && (rest == "" || strings.HasSuffix(rest, "."))
}

// answer answers one request. It reports whether the connection goes on.
func (c *client) answer(head *Head) bool {
	switch {
	case !c.allowed:
		c.p.refused.Add(1)
		return c.reply(head, 407, "Proxy-Authenticate: Basic realm=\"provider\"\r\n", "wrong or missing credentials\n")
	case head.Method == "CONNECT" && isDemo(strings.TrimSuffix(head.Target, ":80")):
		if _, err := io.WriteString(c.conn, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
			return false
		}
		c.demoTunnel(head.host())
		return false
	case head.Method == "CONNECT":
		c.tunnel(head)
		return false
	}
	u, err := url.Parse(head.Target)
	if err != nil || u.Host == "" {
		return c.reply(head, 400, "", "a proxy needs an absolute request-target\n")
	}
	if isDemo(u.Hostname()) {
		return c.demo(head, u.Path)
	}
	return c.forward(head, u)
}

// demoTunnel answers requests to ip.demo that come inside a tunnel, which is one to host.
func (c *client) demoTunnel(host string) {
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(idleTimeout))
		head, err := readHead(c.r)
		if err != nil {
			return
		}
		if c.p.cfg.Observe != nil {
			c.p.cfg.Observe(Sighting{
				Conn: c.id, Method: head.Method, Host: head.host(), Session: c.session, Previous: c.session, Tunnel: host,
			})
		}
		if !c.demo(head, head.Target) {
			return
		}
	}
}

// demo answers with the session's exit address.
func (c *client) demo(head *Head, path string) bool {
	if path != "/" && path != "" {
		return c.reply(head, 404, "", "only / is here\n")
	}
	text := fmt.Sprintf("{\"session\":%q,\"exit_ip\":%q}\n", c.session, ExitIP(c.session))
	return c.reply(head, 200, "Content-Type: application/json\r\n", text)
}

// reply answers by ourselves. What content the request has is not read, so the connection ends behind one.
func (c *client) reply(head *Head, status int, fields, text string) bool {
	keep := head.Proto == "HTTP/1.1" && !strings.EqualFold(head.Get("Connection"), "close") &&
		head.Get("Content-Length") == "" && head.Get("Transfer-Encoding") == ""
	if !keep {
		fields += "Connection: close\r\n"
	}
	if head.Method == "HEAD" {
		text = ""
	}
	_, err := fmt.Fprintf(c.conn, "HTTP/1.1 %d %s\r\n%sContent-Length: %d\r\n\r\n%s", status, http.StatusText(status), fields, len(text), text)
	return err == nil && keep
}

// dial connects to an origin. The connection is closed by closeOrigin.
func (c *client) dial(host string) error {
	c.closeOrigin()
	conn, err := net.DialTimeout("tcp", host, dialTimeout)
	if err != nil {
		return err
	}
	origin := originConn{conn.(*net.TCPConn)}
	if !c.p.keep(origin) {
		return net.ErrClosed
	}
	c.origin, c.originR, c.originHost = origin, bufio.NewReaderSize(origin, 16<<10), host
	return nil
}

func (c *client) closeOrigin() {
	if c.origin != nil {
		c.p.drop(c.origin)
		c.origin = nil
	}
}

// tunnel connects and copies both ways, half-close included.
func (c *client) tunnel(head *Head) {
	if err := c.dial(head.Target); err != nil {
		c.reply(head, 502, "", "cannot connect: "+err.Error()+"\n")
		return
	}
	if _, err := io.WriteString(c.conn, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	c.copyBoth()
}

func (c *client) copyBoth() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := io.Copy(c.origin, c.r)
		end(c.origin, err)
	}()
	_, err := io.Copy(c.conn, c.originR)
	end(c.conn, err)
	<-done
}

// end passes the end of one direction on: a FIN for a FIN, else the end of everything.
func end(to net.Conn, err error) {
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite() // the other end has gone already
		return
	}
	to.Close()
}

// forward sends a plain request to its origin and the response back, as a proxy does: origin-form, without hop-by-hop
// fields. It reports whether the connection goes on.
func (c *client) forward(head *Head, u *url.URL) bool {
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "80")
	}
	in := bufio.NewReader(io.MultiReader(bytes.NewReader(head.Raw), c.r))
	req, err := http.ReadRequest(in)
	if err != nil {
		return c.reply(head, 400, "", "not a request: "+err.Error()+"\n")
	}
	if c.origin == nil || c.originHost != host {
		if err := c.dial(host); err != nil {
			c.reply(head, 502, "Connection: close\r\n", "cannot connect: "+err.Error()+"\n")
			return false
		}
	}
	upgrade := strings.EqualFold(req.Header.Get("Connection"), "Upgrade") && req.Header.Get("Upgrade") != ""
	for _, name := range []string{"Proxy-Authorization", "Proxy-Connection", "Keep-Alive"} {
		req.Header.Del(name)
	}
	if !c.roundTrip(req, upgrade) {
		return false
	}
	if n := in.Buffered(); n > 0 { // a pipelined request, read together with the content of this one
		ahead, _ := in.Peek(n) // it is there
		c.r = bufio.NewReader(io.MultiReader(bytes.NewReader(ahead), c.r))
	}
	return true
}

// roundTrip writes the request while the response may already come. It reports whether both connections are good for
// another one.
func (c *client) roundTrip(req *http.Request, upgrade bool) bool {
	hasBody := req.ContentLength != 0 || len(req.TransferEncoding) > 0
	if hasBody && req.Header.Get("Expect") != "" {
		req.Header.Del("Expect")
		if _, err := io.WriteString(c.conn, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return false
		}
	}
	written := make(chan error, 1)
	go func() { written <- req.Write(c.origin) }()
	res, err := http.ReadResponse(c.originR, req)
	if err != nil {
		c.closeOrigin()
		<-written
		fmt.Fprint(c.conn, "HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		return false
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusSwitchingProtocols && upgrade {
		<-written
		if err := writeHead(c.conn, res); err == nil {
			c.copyBoth()
		}
		return false
	}
	res.Close = res.Close || res.ContentLength < 0 && len(res.TransferEncoding) == 0
	if err := res.Write(c.conn); err != nil {
		c.closeOrigin()
		<-written
		return false
	}
	if err := <-written; err != nil {
		return false
	}
	if res.Close {
		c.closeOrigin()
		return false
	}
	return true
}

func writeHead(w io.Writer, res *http.Response) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %s\r\n", res.Status)
	if err := res.Header.Write(&b); err != nil {
		return err
	}
	b.WriteString("\r\n")
	_, err := w.Write(b.Bytes())
	return err
}
