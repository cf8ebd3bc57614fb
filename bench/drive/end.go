//go:build linux

package drive

import (
	"bytes"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// messages are what the two ends send, made before the clock runs.
type messages struct {
	connect map[Kind][]byte // a CONNECT that tells the provider what the tunnel is for
	greet   []byte          // of SOCKS5: no authentication; then
	target  []byte          // the request
	grant   []byte
	request []byte // plain
	reply   []byte // plain: the head, and small content with it
	rest    int    // plain: bytes of content behind reply
	ask     []byte // in a tunnel
	content []byte // filler
}

func newMessages(s *Scenario) *messages {
	m := &messages{
		connect: map[Kind][]byte{},
		greet:   []byte("\x05\x01\x00"),
		target:  []byte("\x05\x01\x00\x03\x0dsocks.example\x01\xbb"),
		rest:    s.Response,
		grant:   []byte("HTTP/1.1 200 Connection established\r\n\r\n"),
		reply:   fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", s.Response),
		ask:     bytes.Repeat([]byte("q"), s.Request),
		content: make([]byte, max(256<<10, s.Response)),
	}
	if s.Response <= 64<<10 {
		m.reply, m.rest = append(m.reply, m.content[:s.Response]...), 0
	}
	for _, k := range Kinds {
		m.connect[k] = fmt.Appendf(nil, "CONNECT %s.example:443 HTTP/1.1\r\nHost: %s.example:443\r\nUser-Agent: bench/1\r\nProxy-Connection: Keep-Alive\r\n\r\n", k, k)
	}
	method, length := "GET", ""
	if s.Content > 0 {
		method, length = "PUT", fmt.Sprintf("Content-Length: %d\r\n", s.Content)
	}
	m.request = fmt.Appendf(nil, "%s http://plain.example/index.html HTTP/1.1\r\nHost: plain.example\r\nUser-Agent: bench/1\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n%s%s\r\n", method, length, s.Fields)
	return m
}

type state uint8

const (
	stateConnecting state = iota // client
	stateGrant                   // client: our CONNECT is out
	stateMethod                  // client: our SOCKS5 greeting is out
	stateReply                   // client: our SOCKS5 request is out
	stateReady                   // client: nothing is asked
	stateHead                    // a head is awaited: a request's by the provider, a response's by a client
	stateContent                 // left bytes of content are awaited
	stateTunnel                  // provider: each request is answered
	stateSource                  // writes without end
	stateSink                    // reads without end
	stateQuiet                   // neither
)

// An end is one socket of the load.
type end struct {
	w        *worker
	index    uint32
	gen      int32
	fd       int
	provider bool
	counted  bool // a client of the scenario, not of its background
	kind     Kind
	state    state

	readable, writable, hup, scheduled, ready bool

	partial []byte // of a head
	left    int    // bytes that are awaited
	head    []byte // to be written
	fill    int    // bytes of content to be written behind it
	due     int64  // of the operation

	paced   bool
	allowed int64 // bytes, of a paced source or sink
}

var errEnded = errors.New("a connection ended before its time")

func (w *worker) newClient(kind Kind, counted bool) {
	e := w.newEnd(-1)
	e.kind, e.counted = kind, counted
	if kind.connects() {
		e.standing() // it connects when it begins
		return
	}
	e.dial()
}

// standing tells that the connection is ready for the scenario.
func (e *end) standing() {
	e.ready = true
	e.state = stateReady
	if e.kind == Down || e.kind == Slow {
		e.state, e.paced = stateSink, e.kind == Slow // what comes behind the grant belongs to it
	}
	e.w.up.Add(1)
	if e.w.begun {
		e.onReady()
	}
}

// onReady begins what the client is for.
func (e *end) onReady() {
	w := e.w
	switch {
	case e.provider:
	case e.kind == Down, e.kind == Slow:
		w.schedule(e)
	case e.kind == Up:
		e.state, e.paced = stateSource, w.allowance > 0
		w.schedule(e)
	case e.kind == Idle:
		e.state = stateQuiet
	case w.interval > 0:
		w.waiting = append(w.waiting, e)
	default:
		e.begin(w.now)
	}
}

// begin begins an operation.
func (e *end) begin(due int64) {
	e.due = due
	switch e.kind {
	case Plain:
		e.state = stateHead
		e.head, e.fill = e.w.m.request, e.w.s.Content
		e.push()
	case Tunnel:
		e.ask()
	case Connect, Socks:
		e.dial()
	}
}

func (e *end) ask() {
	e.state, e.left = stateContent, e.w.s.Response
	e.head = e.w.m.ask
	e.push()
}

// dial connects a client to the next proxy.
func (e *end) dial() {
	w := e.w
	sa := w.proxies[w.next%len(w.proxies)]
	w.next++
	family := unix.AF_INET
	if _, ok := sa.(*unix.SockaddrInet6); ok {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		w.fail(fmt.Errorf("socket: %w", err))
		return
	}
	e.fd, e.state = fd, stateConnecting
	e.gen++
	e.readable, e.writable, e.hup = false, false, false
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err := unix.Connect(fd, sa); err != nil && err != unix.EINPROGRESS {
		w.fail(fmt.Errorf("connect: %w", err))
		return
	}
	w.watch(e)
}

// step does what the socket allows.
func (e *end) step() {
	if e.state == stateConnecting {
		if e.hup {
			e.lost(fmt.Errorf("connect: %w", socketError(e.fd)))
			return
		}
		if !e.writable {
			return
		}
		e.w.connections++
		if e.kind == Plain {
			e.standing()
			return
		}
		e.state, e.head = stateGrant, e.w.m.connect[e.kind]
		if e.kind == Socks {
			e.state, e.head = stateMethod, e.w.m.greet
		}
	}
	e.push()
	e.pull()
}

func socketError(fd int) error {
	errno, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if errno == 0 {
		return errEnded
	}
	return unix.Errno(errno)
}

// push writes what there is to be written.
func (e *end) push() {
	w, moved := e.w, 0
	defer func() { w.moved += moved }()
	for e.writable && e.fd >= 0 {
		var b []byte
		switch {
		case len(e.head) > 0:
			b = e.head
		case e.fill > 0:
			b = w.m.content[:min(e.fill, len(w.m.content))]
		case e.state == stateSource && (!e.paced || e.allowed > 0):
			if moved >= min(bulkBudget, w.budget()) {
				w.schedule(e)
				return
			}
			b = w.m.content
			if e.paced {
				b = b[:min(int64(len(b)), e.allowed)]
			}
		default:
			return
		}
		n, errno := call(unix.SYS_WRITE, e.fd, b, 0)
		if errno == unix.EAGAIN {
			e.writable = false
			return
		}
		if errno != 0 {
			e.lost(errno)
			return
		}
		moved += n
		switch {
		case len(e.head) > 0:
			e.head = e.head[n:]
		case e.fill > 0:
			e.fill -= n
		case e.paced:
			e.allowed -= int64(n)
		}
	}
}

// pull reads what has come.
func (e *end) pull() {
	w, moved := e.w, 0
	defer func() { w.moved += moved }()
	for e.readable && e.fd >= 0 {
		b, flags := w.buf, 0
		if e.state == stateSink {
			if moved >= min(bulkBudget, w.budget()) {
				w.schedule(e)
				return
			}
			flags = unix.MSG_TRUNC // the kernel need not copy what nobody looks at
			if e.paced {
				if b = b[:max(min(int64(len(b)), e.allowed), 0)]; len(b) == 0 {
					return
				}
			}
		}
		n, errno := call(unix.SYS_RECVFROM, e.fd, b, flags)
		if errno == unix.EAGAIN {
			e.readable = false
			return
		}
		if errno != 0 {
			e.lost(errno)
			return
		}
		if n == 0 {
			e.onEOF()
			return
		}
		if n < len(b) && !e.hup {
			e.readable = false
		}
		moved += n
		e.take(b[:n])
	}
}

// call is a system call on a non-blocking socket with a buffer.
func call(trap uintptr, fd int, b []byte, flags int) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(flags), 0, 0)
	return int(n), errno
}

// take looks at bytes that have come.
func (e *end) take(b []byte) {
	for len(b) > 0 && e.fd >= 0 {
		switch e.state {
		case stateSink:
			e.sink(len(b))
			return
		case stateContent, stateTunnel:
			n := min(e.left, len(b))
			e.left -= n
			b = b[n:]
			if e.left == 0 {
				e.onContent()
			}
		case stateHead, stateGrant:
			head := b
			if len(e.partial) > 0 {
				e.partial = append(e.partial, b...)
				head = e.partial
			}
			end := bytes.Index(head, []byte("\r\n\r\n"))
			if end < 0 {
				if len(e.partial) == 0 {
					e.partial = append(e.partial, b...)
				}
				return
			}
			b = head[end+4:]
			e.partial = e.partial[:0]
			e.onHead(head[:end+4])
		case stateMethod, stateReply: // nothing comes behind them before we ask
			e.partial = append(e.partial, b...)
			e.onSocks()
			return
		default:
			e.lost(fmt.Errorf("unexpected bytes: %.80q", b))
			return
		}
	}
}

// onSocks goes on once the SOCKS server's answer is complete.
func (e *end) onSocks() {
	size := 2
	if e.state == stateReply {
		size = 10 // with an IPv4 address
	}
	b := e.partial
	switch {
	case len(b) < size:
		return
	case len(b) > size || b[0] != 5 || b[1] != 0:
		e.lost(fmt.Errorf("answered %q", b))
		return
	}
	e.partial = b[:0]
	if e.state == stateReply {
		e.ask()
		return
	}
	e.state, e.head = stateReply, e.w.m.target
	e.push()
}

func (e *end) sink(n int) {
	w := e.w
	if e.paced {
		e.allowed -= int64(n)
	}
	if !w.counting.Load() {
		return
	}
	if w.s.Streams > 0 && !w.s.bulk() {
		w.background += int64(n)
	} else {
		w.bytes += int64(n)
	}
}

func (e *end) onHead(head []byte) {
	w := e.w
	if !e.provider {
		if len(head) < 12 || string(head[8:12]) != " 200" {
			e.lost(fmt.Errorf("answered %.300q", head))
			return
		}
		if e.state == stateHead {
			e.state, e.left = stateContent, w.s.Response
			return
		}
		if e.kind == Connect {
			e.ask()
			return
		}
		e.standing()
		return
	}
	if len(w.s.Proxies) > 0 && !e.ready { // once for each connection
		e.ready = true
		if !bytes.Contains(head, []byte("Basic ")) {
			w.fail(fmt.Errorf("a request came without credentials: %q", head))
		}
	}
	if !bytes.HasPrefix(head, []byte("CONNECT ")) {
		if w.s.Content > 0 {
			e.state, e.left = stateContent, w.s.Content
			return
		}
		e.reply()
		return
	}
	e.head = w.m.grant
	switch kind := Kind(head[len("CONNECT "):bytes.IndexByte(head, '.')]); kind {
	case Down, Slow:
		e.state, e.paced = stateSource, kind == Down && w.allowance > 0 && w.s.bulk()
	case Up:
		e.state = stateSink
	default:
		e.state, e.left = stateTunnel, w.s.Request
	}
	e.push()
}

// reply answers a plain request.
func (e *end) reply() {
	e.state = stateHead
	e.head, e.fill = e.w.m.reply, e.w.m.rest
	e.push()
}

// onContent is called when the bytes that were awaited have come.
func (e *end) onContent() {
	w := e.w
	switch {
	case e.provider && e.state == stateTunnel:
		e.left = w.s.Request
		e.head = w.m.content[:w.s.Response]
		e.push()
	case e.provider:
		e.reply()
	default:
		w.completed(e.due)
		if e.kind.connects() {
			e.close()
		}
		e.state = stateReady
		e.onReady()
	}
}

func (e *end) onEOF() {
	switch {
	case e.provider:
		e.close()
		e.w.free = append(e.w.free, e.index)
	default:
		e.lost(errEnded)
	}
}

// lost is called when a connection has failed. A client tries anew.
func (e *end) lost(err error) {
	if e.fd < 0 {
		return
	}
	e.close()
	if e.provider {
		// The relay's reset after a client's end of the run is none of ours.
		e.w.free = append(e.w.free, e.index)
		return
	}
	e.w.fail(err)
	if e.kind.connects() {
		e.onReady()
		return
	}
	if e.ready {
		e.ready = false
		e.w.up.Add(-1)
	}
	e.dial()
}

func (e *end) close() {
	_ = unix.Close(e.fd)
	e.fd = -1
	e.head, e.fill, e.left = nil, 0, 0
	e.partial = e.partial[:0]
}
