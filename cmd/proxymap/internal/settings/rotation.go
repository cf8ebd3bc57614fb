package settings

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"proxymap/cmd/proxymap/internal/settings/schema"
	"proxymap/relay"
	"proxymap/session"
)

// rotationSettings say how long sessions live, and what becomes of connections behind them.
type rotationSettings struct {
	lifetime, idle, drain, interval time.Duration
	jitter, maxRequests             int
	onRotate                        session.OnRotate
	on                              []relay.Signal
}

func (r *reader) rotation(o *object) rotationSettings {
	s := rotationSettings{
		lifetime: o.lifetime("StickyProxyLifetime"), jitter: o.number("LifetimeJitter"),
		idle: o.lifetime("IdleLifetime"), maxRequests: o.number("MaxRequests"),
		drain: o.durationOr("DrainTime"), interval: o.durationOr("RotateMinInterval"),
	}
	s.onRotate, _ = session.ParseOnRotate(o.choice("OnRotate"))
	for _, item := range o.list("RotateOn") {
		if signal := r.object(item, schema.Signal); signal.valid {
			s.on = append(s.on, r.signal(signal))
		}
	}
	return s
}

// signal reads what counts against a session.
func (r *reader) signal(o *object) relay.Signal {
	s := relay.Signal{Count: cmp.Or(o.number("Count"), defaultOf[int](o, "Count")), Within: o.durationOr("Within")}
	status := typeOf[schema.List](o, "Status").Of.(schema.Number)
	for _, n := range o.list("Status") {
		if code := n.number(r, status); code > 0 {
			s.Status = append(s.Status, code)
		}
	}
	for _, n := range o.list("UpstreamError") {
		s.Errors |= r.upstreamError(n)
	}
	if o.isEmpty("Status") && o.isEmpty("UpstreamError") {
		r.fault(o.self, `has neither Status nor UpstreamError: one of them must be, such as {"Status": [403, 429], "Count": 3, "Within": "60s"}`)
	}
	return s
}

// isEmpty reports whether a list is not there, or has nothing in it.
func (o *object) isEmpty(key string) bool {
	n := o.get(key)
	return !n.there() || n.isList() && len(o.list(key)) == 0
}

// upstreamErrors are those that a signal may be, by their names' indices in schema.UpstreamError.
var upstreamErrors = [...]relay.UpstreamError{relay.ErrorRefused, relay.ErrorTimeout, relay.ErrorReset}

func (r *reader) upstreamError(n node) relay.UpstreamError {
	text, _ := n.literal()
	for i, name := range schema.UpstreamError.Names {
		if strings.EqualFold(text, name) {
			return upstreamErrors[i]
		}
	}
	r.fault(n, "%s: must be %s", n.show(), schema.UpstreamError.Allowed())
	return 0
}

// lifetimeless tells what a mapping cannot have whose client connections each are a session of their own.
func (r *reader) lifetimeless(s *Settings, m *mappingSettings, out *relay.Mapping) {
	if m.keepsSessions(out.Plan) {
		return
	}
	if m.rotation.idle > 0 {
		r.fault(m.listenAt.get("IdleLifetime"), "the lifetime is 0, so each client connection is a session of its own, and none can be idle; set StickyProxyLifetime, or remove it")
	}
	var idle []string
	for _, key := range []string{"OnRotate", "DrainTime", "LifetimeJitter", "MaxRequests", "RotateOn", "RotateMinInterval"} {
		if m.listenAt.get(key).there() && (key != "OnRotate" || m.rotation.onRotate != session.Keep) {
			idle = append(idle, key)
		}
	}
	if len(idle) > 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("ports %s have a lifetime of 0, so each client connection is a session of its own, and without effect are: %s; set StickyProxyLifetime",
			out.Ports(), strings.Join(idle, ", ")))
	}
}

// keepsSessions reports whether a session of the mapping's can live longer than a client connection.
func (m *mappingSettings) keepsSessions(p *session.Plan) bool {
	if p.Lifetime() > 0 {
		return true
	}
	accounts := []*accountSettings{&m.auth.account}
	for i := range m.servers {
		accounts = append(accounts, &m.servers[i].account)
	}
	for _, a := range accounts {
		for _, p := range a.Parameters {
			if p.SessionTime && p.Value != "" && strings.ContainsAny(p.Value[:1], "^$") {
				return true
			}
		}
	}
	return false
}

// lifetimeOf says how long sessions live.
func lifetimeOf(m *relay.Mapping, set *rotationSettings) string {
	d := m.Plan.Lifetime()
	if d == 0 {
		return "one for each client connection (lifetime 0)"
	}
	text := fmt.Sprintf("%s from their creation", timeOf(d))
	if set.jitter > 0 {
		text += fmt.Sprintf(", or up to %d %% less", set.jitter)
	}
	if set.idle > 0 {
		text += fmt.Sprintf(", or %s without traffic", timeOf(set.idle))
	}
	if set.maxRequests > 0 {
		text += ", or " + count(set.maxRequests, "request")
	}
	return text
}

// timeOf renders a length of time: in minutes if they are whole.
func timeOf(d time.Duration) string {
	switch {
	case d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d%time.Second == 0:
		return fmt.Sprintf("%d s", d/time.Second)
	}
	return d.String()
}

// rotationOf says what becomes of connections, and which signals end a session; empty if there is nothing to say.
func rotationOf(set *rotationSettings) string {
	var parts []string
	switch set.onRotate {
	case session.Drain:
		parts = append(parts, "Drain: idle connections close at once, the others get "+timeOf(set.drain))
	case session.CloseAll:
		parts = append(parts, "Close: all connections are closed")
	}
	for _, s := range set.on {
		parts = append(parts, "at "+signalOf(s))
	}
	if len(set.on) > 0 {
		parts = append(parts, "not again within "+timeOf(set.interval))
	}
	return strings.Join(parts, "; ")
}

func signalOf(s relay.Signal) string {
	var names []string
	for _, code := range s.Status {
		names = append(names, strconv.Itoa(code))
	}
	for i, e := range upstreamErrors {
		if s.Errors&e != 0 {
			names = append(names, schema.UpstreamError.Names[i])
		}
	}
	text := strings.Join(names, ", ")
	if s.Count > 1 {
		text += fmt.Sprintf(" (%d times within %s)", s.Count, timeOf(s.Within))
	}
	return text
}
