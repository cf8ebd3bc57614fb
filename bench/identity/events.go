//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// An eventReader reads the admin listener's events.
type eventReader struct {
	conn net.Conn
	r    *bufio.Reader
}

// eventSilence is more than the listener leaves between two signs of life.
const eventSilence = 60 * time.Second

// readEvents begins to read. What happens behind its return is told.
func readEvents(admin netip.AddrPort) (*eventReader, error) {
	conn, err := net.DialTimeout("tcp", admin.String(), callTime)
	if err != nil {
		return nil, err
	}
	e := &eventReader{conn, bufio.NewReader(conn)}
	_ = conn.SetDeadline(time.Now().Add(callTime))
	fmt.Fprintf(conn, "GET /sessions/events HTTP/1.0\r\nHost: %s\r\n\r\n", admin)
	for {
		line, err := e.r.ReadString('\n')
		if err != nil {
			conn.Close()
			return nil, fmt.Errorf("events: %w", err)
		}
		if line == ": events follow\n" {
			return e, nil
		}
	}
}

// An eventData is the data of an event as it comes.
type eventData struct {
	Port   int     `json:"port"`
	Old    *string `json:"old_session_id"`
	New    *string `json:"session_id"`
	Reason string  `json:"reason"`
	Lost   int     `json:"lost"` // of a gap
}

// each calls f with each event until the stream ends, which is no error.
func (e *eventReader) each(f func(eventData)) error {
	defer e.conn.Close()
	for {
		_ = e.conn.SetDeadline(time.Now().Add(eventSilence))
		line, err := e.r.ReadString('\n')
		if err != nil {
			if timeout, is := err.(net.Error); is && timeout.Timeout() {
				return fmt.Errorf("events: no sign of life for %v", eventSilence)
			}
			return nil
		}
		text, is := strings.CutPrefix(line, "data: ")
		if !is {
			continue
		}
		var data eventData
		if err := json.Unmarshal([]byte(text), &data); err != nil {
			return fmt.Errorf("events: %w in %.200q", err, text)
		}
		if data.Lost > 0 {
			return fmt.Errorf("events: the listener has dropped %d, so nothing can be said; have less happen at once", data.Lost)
		}
		f(data)
	}
}

func textOf(id *string) string {
	if id == nil {
		return ""
	}
	return *id
}
