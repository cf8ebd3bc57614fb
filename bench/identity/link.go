//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const callTime = 30 * time.Second // that a client waits for anything

// A link is a client's connection.
type link struct {
	conn net.Conn
	r    *bufio.Reader
}

func dial(addr netip.AddrPort) (*link, error) {
	conn, err := net.DialTimeout("tcp", addr.String(), callTime)
	if err != nil {
		return nil, err
	}
	return &link{conn, bufio.NewReaderSize(conn, 2<<10)}, nil
}

// end ends the connection; hard, which resets it, leaves no TIME_WAIT.
func (l *link) end(hard bool) {
	if hard {
		_ = l.conn.(*net.TCPConn).SetLinger(0)
	}
	l.conn.Close()
}

// send writes, and gives all that is read behind it a deadline.
func (l *link) send(text string) error {
	_ = l.conn.SetDeadline(time.Now().Add(callTime))
	_, err := io.WriteString(l.conn, text)
	return err
}

// An answer is a response.
type answer struct {
	status  int
	session string // in X-Session-Id, or in the content as the provider has it
	reason  string // in X-Proxymap-Error
	body    []byte
	closes  bool
}

// answer reads a response; tunnel says that nothing follows a 200, as with CONNECT.
func (l *link) answer(tunnel bool) (a answer, err error) {
	line, err := l.line()
	if err != nil {
		return a, err
	}
	if len(line) < 12 || !strings.HasPrefix(line, "HTTP/1.1 ") {
		return a, fmt.Errorf("a response begins with %.100q", line)
	}
	a.status, _ = strconv.Atoi(line[9:12])
	length := 0
	for {
		if line, err = l.line(); err != nil {
			return a, err
		}
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case strings.EqualFold(name, "Content-Length"):
			length, _ = strconv.Atoi(value)
		case strings.EqualFold(name, "X-Session-Id"):
			a.session = value
		case strings.EqualFold(name, "X-Proxymap-Error"):
			a.reason = value
		case strings.EqualFold(name, "Connection"):
			a.closes = strings.EqualFold(value, "close")
		}
	}
	if tunnel && a.status == 200 || length == 0 {
		return a, nil
	}
	a.body = make([]byte, length)
	if _, err = io.ReadFull(l.r, a.body); err != nil {
		return a, err
	}
	if rest, is := strings.CutPrefix(string(a.body), `{"session":"`); is {
		a.session, _, _ = strings.Cut(rest, `"`)
	}
	return a, nil
}

func (l *link) line() (string, error) {
	line, err := l.r.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(string(line[:len(line)-1]), "\r"), nil
}

// A statusError is an answer that was not expected.
type statusError struct {
	to string
	answer
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: status %d %s %.200q", e.to, e.status, e.reason, e.body)
}

// unexpected is the error of an answer.
func unexpected(to string, a answer) error { return &statusError{to, a} }

// connect opens a tunnel to a host, and sends early behind the request, in the same write.
func (l *link) connect(host, early string) error {
	if err := l.send("CONNECT " + host + ":80 HTTP/1.1\r\nHost: " + host + ":80\r\n\r\n" + early); err != nil {
		return err
	}
	a, err := l.answer(true)
	if err == nil && a.status != 200 {
		err = unexpected("CONNECT", a)
	}
	return err
}

// errSOCKS is a SOCKS server's refusal.
var errSOCKS = errors.New("SOCKS")

// socks is connect by SOCKS5 (RFC 1928).
func (l *link) socks(host, early string) error {
	if err := l.send("\x05\x01\x00"); err != nil {
		return err
	}
	reply := make([]byte, 10)
	if _, err := io.ReadFull(l.r, reply[:2]); err != nil {
		return err
	}
	if err := l.send("\x05\x01\x00\x03" + string(byte(len(host))) + host + "\x00\x50" + early); err != nil {
		return err
	}
	if _, err := io.ReadFull(l.r, reply[:2]); err != nil {
		return err
	}
	if reply[1] != 0 {
		return fmt.Errorf("%w: answered with %d", errSOCKS, reply[1])
	}
	_, err := io.ReadFull(l.r, reply[2:])
	return err
}
