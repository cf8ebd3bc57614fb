package admin

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"proxymap/session"
	"proxymap/session/wire"
)

const (
	eventBacklog   = 16 << 10         // events that a reader may be behind: a call may change the sessions of 10,000 ports
	maxReaders     = 8                // of events; they are limited apart from other connections
	eventHeartbeat = 15 * time.Second // between two signs of life
	eventWriteTime = 10 * time.Second // for a reader to take something
)

// An eventHub passes changes of sessions on to whoever reads them. It is told on the event loops, and so never waits for a
// reader: one that is too slow loses events, and hears how many.
type eventHub struct {
	mu      sync.Mutex
	readers map[*eventReader]bool
	closed  chan struct{}
	close   func()
}

type eventReader struct {
	events chan session.Event
	lost   atomic.Int64
}

func newEventHub() *eventHub {
	h := &eventHub{readers: map[*eventReader]bool{}, closed: make(chan struct{})}
	h.close = sync.OnceFunc(func() { close(h.closed) })
	return h
}

func (h *eventHub) publish(ev session.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for r := range h.readers {
		select {
		case r.events <- ev:
		default:
			r.lost.Add(1)
		}
	}
}

// join makes a reader, unless there are too many.
func (h *eventHub) join() *eventReader {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.readers) >= maxReaders {
		return nil
	}
	r := &eventReader{events: make(chan session.Event, eventBacklog)}
	h.readers[r] = true
	return r
}

func (h *eventHub) leave(r *eventReader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.readers, r)
}

// nameOf is what an event is called: created, rotated, expired or reset.
func nameOf(ev session.Event) string {
	switch {
	case ev.Change.New == nil && ev.Reason == session.ReasonReset:
		return "reset"
	case ev.Change.New == nil:
		return "expired"
	case ev.Change.Old == nil || ev.Reason == session.ReasonTraffic:
		return "created" // an old one had expired
	}
	return "rotated"
}

func shownID(s *session.Session) *string {
	if s == nil {
		return nil
	}
	id := s.ID()
	return &id
}

// serve sends events until the reader leaves or the relay ends (WHATWG HTML, server-sent events). Its connection gives its
// place to others, and ends with the events.
func (h *eventHub) serve(places *places) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		reader := h.join()
		if reader == nil {
			http.Error(w, fmt.Sprintf("there are %d readers of events already; close one", maxReaders), http.StatusServiceUnavailable)
			return
		}
		defer h.leave(reader)
		places.leave(connOf(req))
		w.Header().Set("Connection", "close")
		h.stream(w, req, reader)
	}
}

// stream sends a reader its events.
func (h *eventHub) stream(w http.ResponseWriter, req *http.Request, reader *eventReader) {
	w.Header().Set("Content-Type", "text/event-stream")
	beat := time.NewTicker(eventHeartbeat)
	defer beat.Stop()
	ctl := http.NewResponseController(w)
	send := func(text string) bool {
		_ = ctl.SetWriteDeadline(time.Now().Add(eventWriteTime))
		_, err := fmt.Fprint(w, text)
		return err == nil && ctl.Flush() == nil
	}
	for open := send(": events follow\n\n"); open; {
		select {
		case <-req.Context().Done():
			return
		case <-h.closed:
			return
		case <-beat.C:
			open = send(":\n\n")
		case ev := <-reader.events:
			open = send(reader.text(ev))
		}
	}
}

// text is an event as it is sent, and behind the last one of the backlog how many have been lost.
func (r *eventReader) text(ev session.Event) string {
	text := eventText(ev)
	if len(r.events) > 0 {
		return text
	}
	if lost := r.lost.Swap(0); lost > 0 {
		text += fmt.Sprintf("event: gap\ndata: %s\n", wire.Line(wire.Gap{Lost: lost}))
	}
	return text
}

func eventText(ev session.Event) string {
	data := wire.Line(wire.Event{
		Port: ev.Port.Port(), Address: ev.Port.Addr(), Old: shownID(ev.Change.Old), New: shownID(ev.Change.New),
		Reason: ev.Reason, Time: ev.At.UTC(),
	})
	return fmt.Sprintf("event: %s\ndata: %s\n", nameOf(ev), data)
}
