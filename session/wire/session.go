package wire

import (
	"bytes"
	"errors"
	"net/netip"
	"time"

	"github.com/goccy/go-json"
)

// A Session is what a port answers to /session/ and /session/new. Where each connection is a session of its own there is
// nothing to show: ID and Expires are nil then, and Time is 0.
type Session struct {
	ID          *string      `json:"session_id"`
	Expires     *string      `json:"expires_at"` // as Date renders it
	Expired     bool         `json:"expired"`
	Time        float64      `json:"session_time"` // minutes
	Parameters  Parameters   `json:"username_parameters,omitempty"`
	Connections *Connections `json:"connections,omitempty"`
}

// Text renders the answer; c, if it is not nil, is what it says of connections.
func (s Session) Text(c *Connections) []byte {
	s.Connections = c
	return Text(s)
}

// A Reset is what a port answers to /session/reset.
type Reset struct {
	Success     bool         `json:"success"`
	Connections *Connections `json:"connections,omitempty"`
}

// Text renders the answer; c, if it is not nil, is what it says of connections.
func (r Reset) Text(c *Connections) []byte {
	r.Connections = c
	return Text(r)
}

// Connections are how many a rotation has closed, and how many it has given time to end.
type Connections struct {
	Closed   int `json:"closed"`
	Draining int `json:"draining"`
}

// Sessions are what the admin listener answers to /sessions, /sessions/new and /sessions/reset.
type Sessions struct {
	Sessions    []PortSession `json:"sessions"`
	Connections *Connections  `json:"connections,omitempty"`
}

// A PortSession is what a port has. ID, Expires and Time are nil where that is no session.
type PortSession struct {
	Port       uint16     `json:"port"`
	Address    netip.Addr `json:"address"`
	ID         *string    `json:"session_id"`
	Expires    *string    `json:"expires_at"` // as Date renders it
	Expired    bool       `json:"expired"`
	Time       *float64   `json:"session_time"` // minutes
	Parameters Parameters `json:"username_parameters,omitempty"`
	Open       int64      `json:"connections"`
	Upstream   int64      `json:"bytes_to_upstream"`
	Client     int64      `json:"bytes_to_client"`
}

// An Event is a change of a port's session, in the data of a server-sent event of /sessions/events.
type Event struct {
	Port    uint16     `json:"port"`
	Address netip.Addr `json:"address"`
	Old     *string    `json:"old_session_id"`
	New     *string    `json:"session_id"`
	Reason  string     `json:"reason"`
	Time    time.Time  `json:"time"`
}

// A Gap is the data of the event of that name: so many events has a slow reader lost.
type Gap struct {
	Lost int64 `json:"lost"`
}

// Parameters are an object of strings whose order is kept.
type Parameters []Parameter

// A Parameter is a member of Parameters.
type Parameter struct{ Name, Value string }

// MarshalJSON renders the parameters in their order.
func (p Parameters) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i := range p {
		if i > 0 {
			out = append(out, ',')
		}
		name, _ := json.Marshal(p[i].Name) // a string always can be
		value, _ := json.Marshal(p[i].Value)
		out = append(append(append(out, name...), ':'), value...)
	}
	return append(out, '}'), nil
}

// UnmarshalJSON reads an object of scalars, or null; null as a value is the empty string, numbers and booleans stand as
// they are written.
func (p *Parameters) UnmarshalJSON(text []byte) error {
	r := reader{text}
	list, err := r.parameters()
	if err == nil && !r.end() {
		err = errors.New("parameters must be an object of strings")
	}
	if err == nil {
		*p = list
	}
	return err
}

// Date renders nanoseconds since the Unix epoch as an RFC 1123 date in GMT.
func Date(at int64) string { return time.Unix(0, at).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") }

// Text renders a value of this package, or another one of strings, numbers and booleans, with white space for people, and
// a newline.
func Text(v any) []byte {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // not what it says above
	}
	return append(text, '\n')
}

// Line is Text without white space.
func Line(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // not what it says above
	}
	return append(text, '\n')
}

// Read reads a value of this package. The text must be an object with that member: what somebody else answers is not taken
// for what it would be.
func Read(text []byte, member string, v any) error {
	var members map[string]json.RawMessage
	if err := decode(text, &members); err != nil {
		return err
	}
	if _, there := members[member]; !there {
		return errors.New("it has no member " + member)
	}
	return decode(text, v)
}

// lookAhead goes behind what go-json v0.10 decodes. Behind a backslash it reckons with pointers of up to 12 bytes further on
// before it looks whether the text goes on so far, and such pointers must not be.
const lookAhead = "            "

func decode(text []byte, v any) error {
	return json.Unmarshal(append(bytes.Clone(bytes.TrimSpace(text)), lookAhead...), v)
}
