package relay

import (
	"fmt"
	"strings"
	"testing"
)

// A client of HTTP/1.0 that means to use its connection again, as ab -k does, learns from each response whether it can:
// one that says keep-alive is followed by the next, and behind all others the connection ends.
func TestKeepAliveOfHTTP10(t *testing.T) {
	for _, row := range []struct {
		name, method, response, passed string
		kept                           bool
	}{
		{"a length", "GET", okLine + "Content-Length: 2\r\n\r\nok", okLine + "Content-Length: 2\r\n" + keeps + "\r\nok", true},
		{"a length of 0", "GET", okLine + "Content-Length: 0\r\n\r\n", okLine + "Content-Length: 0\r\n" + keeps + "\r\n", true},
		{"no content", "GET", "HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", "HTTP/1.1 204 No Content\r\nA: b\r\n" + keeps + "\r\n", true},
		{"a 304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n" + keeps + "\r\n", true},
		{"HEAD", "HEAD", okLine + "Content-Length: 5\r\n\r\n", okLine + "Content-Length: 5\r\n" + keeps + "\r\n", true},
		{"it says so already", "GET", okLine + "connection:  a, Keep-Alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok",
			okLine + "connection:  a, Keep-Alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok", true},
		{"HTTP/1.0 that says so", "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
			"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", true},
		{"a 103 before it", "GET", "HTTP/1.1 103 Early Hints\r\n\r\n" + okLine + "Content-Length: 2\r\n\r\nok", okLine + "Content-Length: 2\r\n" + keeps + "\r\nok", true},
		{"HTTP/1.0 that does not", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false},
		{"close", "GET", okLine + "Connection: close\r\nContent-Length: 2\r\n\r\nok", okLine + "Connection: close\r\nContent-Length: 2\r\n\r\nok", false},
		{"Proxy-Connection alone", "GET", "HTTP/1.0 200 OK\r\nProxy-Connection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
			"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", false},
		{"chunks", "GET", okLine + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", okLine + "\r\nok", false},
		{"chunks and keep-alive", "GET", okLine + "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
			okLine + "Connection: close\r\n\r\nok", false},
		{"an end alone, and keep-alive", "GET", okLine + "Connection: keep-alive\r\n\r\nok", okLine + "Connection: close\r\n\r\nok", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t)
			c := g.client(0)
			request := row.method + " http://example.com/ HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: example.com\r\nUser-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n"
			c.send(request)
			u := g.upstream()
			u.expect(request[:len(request)-2] + credentialsOf(1) + "\r\n")
			u.send(row.response)
			if row.kept {
				c.expect(row.passed)
				c.send(request)
				u.head() // over the same connection
				u.send(row.response)
				c.expect(row.passed)
				return
			}
			if !strings.Contains(row.response, "Content-Length") && !strings.Contains(row.response, "chunked") {
				u.fin() // its end
			}
			c.expect(row.passed)
			c.expectEnd()
		})
	}
}

// One that does not mean to is never told that its connection stays, for it ends.
func TestCloseOfHTTP10(t *testing.T) {
	const line, content = "HTTP/1.1 200 OK\r\n", "Content-Length: 2\r\n"
	for _, row := range []struct{ name, asked, response, passed string }{
		{"keep-alive", "", line + "Connection: keep-alive\r\n" + content, line + content + closes},
		{"keep-alive and its field", "", line + "connection: Keep-Alive\r\nKeep-Alive: timeout=5\r\n" + content, line + content + closes},
		{"the field alone", "", line + "keep-alive: timeout=5\r\n" + content, line + content + closes},
		{"Proxy-Connection", "", line + "Proxy-Connection: keep-alive\r\n" + content, line + content + closes},
		{"HTTP/1.0", "", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + content, "HTTP/1.0 200 OK\r\n" + content + closes},
		{"asked to close", "Connection: close\r\n", line + "Connection: keep-alive\r\n" + content, line + content + closes},
		{"close and the field", "Connection: keep-alive\r\n", line + "Connection: close\r\nKeep-Alive: timeout=5\r\n" + content, line + content + closes},
		{"close", "", line + closes + content, line + closes + content},
		{"nothing", "", line + content, line + content},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t)
			c, u := g.asked("GET http://example.com/ HTTP/1.0\r\n" + row.asked + "\r\n")
			u.send(row.response + "\r\nok")
			c.expect(row.passed + "\r\nok")
			c.expectEnd()
		})
	}
}

// So do those of the relay's own answers, and of a target itself.
func TestKeepAliveOfHTTP10WithoutProvider(t *testing.T) {
	g := newRig(t, withAPI("portmapper"), knows("target.example"), bypass)
	c := g.client(0)
	for range 2 {
		c.send("GET http://portmapper/session/ HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
		if res, _ := c.apiAnswer(); res.Header.Get("Connection") != "keep-alive" {
			t.Errorf("Connection is %q; want keep-alive", res.Header.Get("Connection"))
		}
	}
	c.send("GET http://portmapper/no/such HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
	c.expectAnswer(404, "not-found", "")

	c = g.client(0)
	request := fmt.Sprintf("GET http://target.example:%d/ HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", g.port())
	c.send(request)
	u := g.upstream()
	for i := range 2 {
		if i > 0 {
			c.send(request)
		}
		u.expect(fmt.Sprintf("GET / HTTP/1.0\r\nHost: target.example:%d\r\nConnection: keep-alive\r\n\r\n", g.port()))
		u.send("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")
		c.expect("HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok")
	}
}
