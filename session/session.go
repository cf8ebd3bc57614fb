package session

import (
	"bytes"
	"sync/atomic"
	"time"

	"proxymap/session/credential"
)

// A Session is one sticky session of a port: its id, when it ends, and the credentials line for each upstream server,
// ready to be sent. It never changes, but for the count of its uses and its end, and may be used from any goroutine. The zero value is
// no session.
type Session struct {
	id       string
	minutes  string // the SessionTime parameter's value, as it goes into the user name
	expires  int64
	lifetime time.Duration
	params   []Pair
	uses     atomic.Int64
	number   uint64      // among its slot's
	chosen   bool        // a client has written the id
	over     atomic.Bool // it has been told that it has expired, so it has on every clock
	accounts *credential.Accounts
	lines    atomic.Pointer[line] // that are ready, the last made first
}

// A line is a credentials line that is ready for a server.
type line struct {
	server int
	text   []byte
	next   *line
	number int // of lines from here on
}

// maxLines is for how many servers a session keeps lines. A session stays with its server, and rules send it to a few
// more: without a bound, 10,000 ports that use 1,000 servers each would keep over a GiB.
const maxLines = 8

// A Pair is a parameter with its value.
type Pair = credential.Pair

// ID is the session id, never empty.
func (s *Session) ID() string { return s.id }

// Expires is when the session ends, in nanoseconds since the Unix epoch. From that moment on it is expired.
func (s *Session) Expires() int64 { return s.expires }

// Lifetime is how long the session was made for, and what the provider is told; a jitter has it expire earlier.
func (s *Session) Lifetime() time.Duration { return s.lifetime }

// Use counts a use of the session, and returns how many there have been with it.
func (s *Session) Use() int64 { return s.uses.Add(1) }

// Parameters are those given to /session/new, in their order; nil if none were. They are not to be changed.
func (s *Session) Parameters() []Pair { return s.params }

// Line is the whole field line Proxy-Authorization for that server, its CRLF included. It is made when it is asked for
// first, and kept for the first servers that it is asked for. It is nil where the server gets no credentials of ours,
// where they differ from client connection to client connection, and where no more lines are kept: there
// Plan.AppendCredentials makes the line, or none. It is not to be changed.
func (s *Session) Line(server int) []byte {
	last := s.lines.Load()
	for l := last; l != nil; l = l.next {
		if l.server == server {
			return l.text
		}
	}
	return s.makeLine(server, last)
}

// makeLine is Line for a server that has none among those up to last.
func (s *Session) makeLine(server int, last *line) []byte {
	if !s.accounts.Sets(server) || s.accounts.PerConnection(server) {
		return nil
	}
	made := &line{server: server, next: last, number: 1}
	if last != nil {
		made.number += last.number
	}
	if made.number > maxLines {
		return nil
	}
	var scratch [1024]byte
	made.text = bytes.Clone(s.accounts.AppendLine(scratch[:0], nil, server, bind(s, nil)))
	if !s.lines.CompareAndSwap(last, made) {
		return s.Line(server) // others have made one, of this server perhaps
	}
	return made.text
}

// Number counts the sessions of a slot in the order in which they were made, from 1.
func (s *Session) Number() uint64 { return s.number }

// isAlive reports whether the session, nil if there is none, has not expired.
func (s *Session) isAlive(now int64) bool { return s != nil && now < s.expires && !s.over.Load() }

// A Change is what a call did to a slot's session: Old went, New came; nil is none. The slot's sessions up to the number
// Ended are over then. The zero value is no change.
type Change struct {
	Old, New *Session
	Ended    uint64
}
