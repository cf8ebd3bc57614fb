package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"proxymap/relay"
	"proxymap/session"
	"proxymap/session/wire"
)

// What the admin listener does with the sessions of many ports: see openapi.json for the whole of it.

// rotateTime is how long a call waits for its changes to be confirmed.
const rotateTime = 20 * time.Second

// newSessions renders what ports have.
func newSessions(list []relay.PortSession) wire.Sessions {
	a := wire.Sessions{Sessions: make([]wire.PortSession, len(list))}
	for i, p := range list {
		s := wire.PortSession{
			Port: p.Port.Port(), Address: p.Port.Addr(), Expired: p.Expired, Open: p.Open, Upstream: p.Upstream, Client: p.Client,
		}
		if p.Session != nil {
			id, expires := p.Session.ID(), wire.Date(p.Session.Expires())
			minutes := p.Session.Lifetime().Minutes()
			s.ID, s.Expires, s.Time = &id, &expires, &minutes
			for _, given := range p.Session.Parameters() {
				s.Parameters = append(s.Parameters, wire.Parameter(given))
			}
		}
		a.Sessions[i] = s
	}
	return a
}

// parsePorts reads a list such as 10201-10250,10299, or all, and returns the addresses on which the relay listens on these
// ports: a port may be there on several. They come in the list's order, each once.
func parsePorts(text string, r *relay.Relay) ([]netip.AddrPort, error) {
	if text == wire.AllPorts {
		return r.Ports(), nil
	}
	ranges, err := wire.ParsePorts(text)
	if err != nil {
		return nil, fmt.Errorf("ports: %w", err)
	}
	var list []netip.AddrPort
	seen := map[uint16]bool{}
	for _, of := range ranges {
		for p := int(of.First); p <= int(of.Last); p++ {
			port := uint16(p)
			if seen[port] {
				continue
			}
			seen[port] = true
			had := len(list)
			if list = r.AppendPorts(list, port); len(list) == had {
				return nil, fmt.Errorf("ports: %w %d", relay.ErrNoPort, port)
			}
		}
	}
	return list, nil
}

// readQuery reads a query of known names, each of which may stand there once.
func readQuery(req *http.Request, known ...string) (url.Values, error) {
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("the query cannot be read: %w", err)
	}
	for name, values := range query {
		switch {
		case !slices.Contains(known, name):
			return nil, fmt.Errorf("%.80q: the query takes %s alone; parameters of sessions stand in a body: {\"UsernameParameters\": {\"name\": \"value\"}}",
				name, strings.Join(known, " and "))
		case len(values) > 1:
			return nil, fmt.Errorf("%s is given more than once", name)
		}
	}
	return query, nil
}

// handleSessions tells what the ports have.
func handleSessions(r *relay.Relay) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		query, err := readQuery(req, "ports")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var ports []netip.AddrPort
		if text, given := query["ports"]; given {
			if ports, err = parsePorts(strings.Join(text, ","), r); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
		}
		writeJSON(w, wire.Line(newSessions(r.Sessions(ports))))
	}
}

// handleRotation replaces or removes the sessions of ports.
func handleRotation(r *relay.Relay, renew bool) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		ports, rotation, err := readRotation(r, req, renew)
		if err != nil {
			status := http.StatusBadRequest
			if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
				status = http.StatusRequestEntityTooLarge
			}
			http.Error(w, err.Error(), status)
			return
		}
		ctx, cancel := context.WithTimeout(req.Context(), rotateTime)
		defer cancel()
		switch err := r.Rotate(ctx, ports, rotation); {
		case errors.Is(err, relay.ErrParameters), errors.Is(err, relay.ErrNoPort):
			http.Error(w, err.Error(), http.StatusBadRequest)
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		default:
			answer := newSessions(r.Sessions(ports))
			answer.Connections = &wire.Connections{Closed: rotation.Closed, Draining: rotation.Draining}
			writeJSON(w, wire.Line(answer))
		}
	}
}

// readRotation reads what a call wants.
func readRotation(r *relay.Relay, req *http.Request, renew bool) ([]netip.AddrPort, *relay.Rotation, error) {
	query, err := readQuery(req, "ports", "on_rotate")
	if err != nil {
		return nil, nil, err
	}
	if !query.Has("ports") {
		return nil, nil, errors.New("ports is missing: ?ports=10201-10250,10299, or ports=all")
	}
	ports, err := parsePorts(strings.Join(query["ports"], ","), r)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, req.Body, session.MaxBody))
	if err != nil {
		return nil, nil, err
	}
	rotation := &relay.Rotation{Renew: renew}
	if rotation.Parameters, rotation.OnRotate, err = session.ParseBody(body); err != nil {
		return nil, nil, err
	}
	if !renew && len(rotation.Parameters) > 0 {
		return nil, nil, errors.New("a session that is removed takes no parameters; use /sessions/new")
	}
	if query.Has("on_rotate") {
		if rotation.OnRotate != session.OnRotateDefault {
			return nil, nil, errors.New("both the query and the body say on_rotate")
		}
		how, ok := session.ParseOnRotate(query.Get("on_rotate"))
		if !ok {
			return nil, nil, fmt.Errorf("on_rotate: value %.80q: must be keep, drain or close", query.Get("on_rotate"))
		}
		rotation.OnRotate = how
	}
	return ports, rotation, nil
}
