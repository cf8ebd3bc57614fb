package notify

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"
)

// statusPause is between two looks at what the status says: often enough for who waits for the end of a drain.
const statusPause = 5 * time.Second

// A Load is what a process does at one moment.
type Load struct {
	Ports       int   // that are listened on
	Missing     int   // that should be too, and others have
	Connections int   // of clients
	Requests    int64 // since the start
	Draining    bool  // it stops when the connections have ended
}

// Status tells what the process does until ctx ends: at once, and then every few seconds, if that has changed. Without a
// service manager it returns at once.
func (n *Notifier) Status(ctx context.Context, load func() Load) {
	if n.socket == "" {
		return
	}
	ticks := time.NewTicker(n.pause)
	defer ticks.Stop()
	last, at, told := load(), time.Now(), ""
	for text := last.text(0); ; {
		if text != told {
			n.send("STATUS=" + text)
			told = text
		}
		select {
		case <-ctx.Done():
			return
		case now := <-ticks.C:
			l := load()
			text = l.text(rate(l.Requests-last.Requests, now.Sub(at)))
			last, at = l, now
		}
	}
}

// rate is how many a second so many are in that time.
func rate(n int64, in time.Duration) int64 {
	if in <= 0 {
		return 0
	}
	return int64(math.Round(float64(n) / in.Seconds()))
}

// text is the status, with so many requests a second.
func (l Load) text(requests int64) string {
	var s strings.Builder
	if l.Draining {
		s.WriteString("stopping, ")
	} else {
		fmt.Fprintf(&s, "ports: %d", l.Ports)
		if l.Missing > 0 {
			fmt.Fprintf(&s, " (others have %d more)", l.Missing)
		}
		s.WriteString(", ")
	}
	fmt.Fprintf(&s, "connections: %d, requests a second: %d", l.Connections, requests)
	return s.String()
}
