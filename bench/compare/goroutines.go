//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
)

// relayWithGoroutines is the relay that one would write with the standard library: two goroutines a tunnel, io.Copy,
// net/http's parser. It is a peer of the comparison.
func relayWithGoroutines(address string, first, count int, provider, credentials string) error {
	for i := range count {
		l, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(first+i)))
		if err != nil {
			return err
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					continue
				}
				go serveClient(c.(*net.TCPConn), provider, credentials)
			}
		}()
	}
	select {}
}

func serveClient(c *net.TCPConn, provider, credentials string) {
	defer c.Close()
	upstream, err := net.Dial("tcp", provider)
	if err != nil {
		return
	}
	u := upstream.(*net.TCPConn)
	defer u.Close()
	cr, ur, uw := bufio.NewReader(c), bufio.NewReader(u), bufio.NewWriter(u)
	for {
		req, err := http.ReadRequest(cr)
		if err != nil {
			return
		}
		req.Header.Set("Proxy-Authorization", credentials)
		if err := req.WriteProxy(uw); err != nil || uw.Flush() != nil {
			return
		}
		res, err := http.ReadResponse(ur, req)
		if err != nil {
			return
		}
		if req.Method == http.MethodConnect && res.StatusCode == http.StatusOK {
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
				return
			}
			tunnel(c, u, cr, ur)
			return
		}
		if err := res.Write(c); err != nil || req.Close || res.Close {
			return
		}
	}
}

func tunnel(c, u *net.TCPConn, cr, ur *bufio.Reader) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		move(u, c, cr)
	}()
	move(c, u, ur)
	<-done
}

// move copies what r has buffered of from, and then the rest, which the runtime splices.
func move(to, from *net.TCPConn, r *bufio.Reader) {
	if _, err := io.CopyN(to, r, int64(r.Buffered())); err == nil {
		_, _ = io.Copy(to, from)
	}
	_ = to.CloseWrite()
}
