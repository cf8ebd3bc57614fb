//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"

	"proxymap/bench/provider"
)

// Whatever a client sends is for a host of its own, whose name says which client has sent it, and as what number. So the
// provider's sightings find what was known when it was asked for.
const (
	hostSuffix = ".ip.demo"
	banSuffix  = ".ban" + hostSuffix // the provider answers 403
)

// hostName is the name for a client's n-th request.
func hostName(client int, n uint32, banned bool) string {
	if banned {
		return fmt.Sprintf("c%dn%d%s", client, n, banSuffix)
	}
	return fmt.Sprintf("c%dn%d%s", client, n, hostSuffix)
}

// parseHost is hostName's inverse.
func parseHost(host string) (client int, n uint32, ok bool) {
	host = strings.TrimSuffix(strings.TrimSuffix(host, hostSuffix), ".ban")
	rest, is := strings.CutPrefix(host, "c")
	c, number, two := strings.Cut(rest, "n")
	client, err1 := strconv.Atoi(c)
	seq, err2 := strconv.ParseUint(number, 10, 32)
	return client, uint32(seq), is && two && err1 == nil && err2 == nil
}

// ban answers 403 for the hosts that ask for it.
func ban(conn net.Conn, _ *bufio.Reader, head *provider.Head) bool {
	if !strings.Contains(head.Target, banSuffix) {
		return false
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") // it may have gone
	return true
}

// A ledger has a client's last requests: what was known before, and what has been seen of them.
type ledger struct {
	mu   sync.Mutex
	next uint32
	list [ledgerSize]entry
}

// ledgerSize is more than a client can have under way, with room for what is seen late.
const ledgerSize = 256

type entry struct {
	n       uint32
	asked   Ask
	tunnel  uint32 // number of the CONNECT whose tunnel it goes through; 0: none
	session string // that the provider has seen it under
	seen    bool
}

// enter enters a request and returns its number, from 1 on.
func (l *ledger) enter(asked Ask, tunnel uint32) uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	l.list[l.next%ledgerSize] = entry{n: l.next, asked: asked, tunnel: tunnel}
	return l.next
}

// sight notes that the provider has seen a request. found is false if it is too long ago.
func (l *ledger) sight(n uint32, session string) (before entry, found bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &l.list[n%ledgerSize]
	if e.n != n {
		return entry{}, false
	}
	before = *e
	e.session, e.seen = session, true
	return before, true
}

// seen is the session that the provider has seen a request under; empty: none.
func (l *ledger) seen(n uint32) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := &l.list[n%ledgerSize]; e.n == n {
		return e.session
	}
	return ""
}
