package admin

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"

	"proxymap/session"
)

// A placedListener gives each connection that it accepts a place.
type placedListener struct {
	net.Listener
	places *places
}

func (l placedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.places.enter(c)
	}
	return c, err
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

// connOf is the connection that a request has come over.
func connOf(req *http.Request) net.Conn {
	c, _ := req.Context().Value(connKey{}).(net.Conn)
	return c
}

// watch has the server tell where its connections stand. A head is complete when net/http calls a connection active.
func (p *places) watch(s *http.Server) {
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) }
	s.ConnState = func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateActive, http.StateIdle:
			p.wait(c)
		case http.StateClosed, http.StateHijacked:
			p.leave(c)
		}
	}
}

// guard has next answer requests that are complete, and only as many at a time as there are places for. The content is read
// before, one byte more than any call may have at most: until it is there the connection has sent half of a request.
func (p *places) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		content, err := io.ReadAll(io.LimitReader(req.Body, session.MaxBody+1))
		if err != nil {
			w.Header().Set("Connection", "close")
			http.Error(w, "the content cannot be read: "+err.Error(), http.StatusBadRequest)
			return
		}
		req.Body = io.NopCloser(bytes.NewReader(content))
		if !isProbe(req.URL.Path) && !p.answer(connOf(req)) {
			w.Header().Set("Connection", "close")
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many requests are being answered; ask again", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, req)
	})
}
