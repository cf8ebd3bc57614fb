package session

import (
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
	over     atomic.Bool // it has been told that it has expired, so it has on every clock
	lines    [][]byte    // by server; nil where the line depends on the client connection, or is none
}

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

// Line is the whole field line Proxy-Authorization for that server, its CRLF included. It is nil where the server gets
// no credentials of ours, and where they differ from client connection to client connection: there
// Plan.AppendCredentials makes the line, or none. It is not to be changed.
func (s *Session) Line(server int) []byte {
	if server < 0 || server >= len(s.lines) {
		return nil
	}
	return s.lines[server]
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
