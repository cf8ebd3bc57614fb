package relay

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"proxymap/session"
)

// An eventLog collects a relay's changes of sessions. It is a Store that keeps nothing else.
type eventLog struct {
	storeOfNothing
	mu   sync.Mutex
	list []session.Event
}

func (e *eventLog) in(cfg *Config) { cfg.Store = e }

func (e *eventLog) Note(ev session.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ev.Reason != session.ReasonRepinned {
		e.list = append(e.list, ev)
	}
}

// reasons are those of the changes so far.
func (e *eventLog) reasons() (list []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.list {
		list = append(list, ev.Reason)
	}
	return list
}

func (e *eventLog) last() session.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.list) == 0 {
		return session.Event{}
	}
	return e.list[len(e.list)-1]
}

const (
	forbidden = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
	tooMany   = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\nno"
)

// sessionID is that of the port's session, empty if there is none.
func (g *rig) sessionID() string {
	if s := g.relay.ports()[0].slot.Last(); s != nil {
		return s.ID()
	}
	return ""
}

// Statuses, of plain responses and of answers to CONNECT, have another session take the place of the one that they came
// to, when there are enough of them.
func TestRotateOnStatus(t *testing.T) {
	var ev eventLog
	g := newRig(t, ev.in, func(cfg *Config) {
		cfg.Mappings[0].RotateOn = []Signal{{Status: []int{403, 429}, Count: 3, Within: time.Hour}}
	})
	ask := func(request, answer string) {
		c, u := g.asked(request)
		u.send(answer)
		if request == connect {
			answer = with(answer, "Connection: close")
		}
		c.expect(answer)
		c.close()
	}
	ask(get, ok)
	first := g.sessionID()
	ask(get, forbidden)
	ask(connect, tooMany)
	if g.sessionID() != first {
		t.Fatal("two of three are enough")
	}
	ask(get, ok)
	ask(get, forbidden)
	if g.sessionID() == first {
		t.Fatal("three are not enough")
	}
	if e := ev.last(); e.Reason != "status 403, 3 within 1h0m0s" || e.Change.Old.ID() != first || e.Change.New.ID() != g.sessionID() {
		t.Errorf("got the event %+v", e)
	}
	// The new session begins with none.
	second := g.sessionID()
	ask(get, forbidden)
	ask(get, forbidden)
	if g.sessionID() != second {
		t.Error("what came to the old session counts against the new one")
	}
}

// What comes too far apart does not count together.
func TestRotateOnWithin(t *testing.T) {
	g := newRig(t, func(cfg *Config) {
		cfg.Mappings[0].RotateOn = []Signal{{Status: []int{403}, Count: 2, Within: time.Millisecond}}
	})
	var first string
	for i := range 3 {
		c, u := g.asked(get)
		u.send(forbidden)
		c.expect(forbidden)
		if i == 0 {
			first = g.sessionID()
		}
		time.Sleep(5 * time.Millisecond) // longer than Within: there is nothing to wait for
	}
	if g.sessionID() != first {
		t.Error("signals that were too far apart have rotated the session")
	}
}

// A provider that is broken cannot make ids spin.
func TestRotateMinInterval(t *testing.T) {
	var ev eventLog
	g := newRig(t, ev.in, func(cfg *Config) {
		cfg.Mappings[0].RotateOn = []Signal{{Status: []int{403}, Count: 1, Within: time.Hour}}
		cfg.Mappings[0].RotateMinInterval = time.Hour
	})
	for range 5 {
		c, u := g.asked(get)
		u.send(forbidden)
		c.expect(forbidden)
	}
	n := 0
	for _, reason := range ev.reasons() {
		if reason != session.ReasonTraffic {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d rotations within the interval; want 1: %v", n, ev.reasons())
	}
}

// Failures of the upstream server count too.
func TestRotateOnUpstreamError(t *testing.T) {
	on := func(failed UpstreamError) func(*Config) {
		return func(cfg *Config) {
			cfg.Mappings[0].RotateOn = []Signal{{Errors: failed, Count: 1, Within: time.Hour}}
		}
	}
	dead := deadServer(t)
	for _, row := range []struct {
		name   string
		failed UpstreamError
		change func(*Config)
		reason string
		reset  bool
	}{
		{"refused", ErrorRefused, func(cfg *Config) { cfg.Mappings[0].Servers = []Server{dead} }, "upstream refused, 1 within 1h0m0s", false},
		{"timeout", ErrorTimeout, func(cfg *Config) {
			cfg.Mappings[0].Servers = []Server{silentServer(t)}
			cfg.Limits.Dial = 50 * time.Millisecond
		}, "upstream timeout, 1 within 1h0m0s", false},
		{"reset", ErrorReset, func(*Config) {}, "upstream reset-before-first-byte, 1 within 1h0m0s", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			var ev eventLog
			g := newRig(t, ev.in, row.change, on(row.failed))
			c := g.client(0)
			c.send(connect)
			if row.reset {
				u := g.upstream()
				u.head()
				u.reset()
			}
			c.head()
			if got := ev.last().Reason; got != row.reason {
				t.Errorf("got %q; want %q", got, row.reason)
			}
		})
	}
}

// A session serves so many requests and no more, also on one connection.
func TestMaxRequests(t *testing.T) {
	var ev eventLog
	g := newRig(t, ev.in, func(cfg *Config) { cfg.Mappings[0].MaxRequests = 2 })
	c, u := g.client(0), (*peer)(nil)
	for i := range 6 {
		c.send(get)
		if i%2 == 0 {
			u = g.upstream() // another session, another connection
		}
		u.expect(get[:len(get)-2] + credentialsOf(1+i/2) + "\r\n")
		u.send(ok)
		c.expect(ok)
	}
	if got := len(ev.reasons()); got != 3 {
		t.Errorf("%v; want one made by traffic and two for their requests", ev.reasons())
	}
}

// However many requests come at once, no session serves more, and none of them is lost: those that are still being dialled
// for go under the next session.
func TestMaxRequestsAtOnce(t *testing.T) {
	const most, clients = 5, 60
	g := newRig(t, func(cfg *Config) {
		cfg.Mappings[0].MaxRequests = most
		cfg.Mappings[0].OnRotate = session.CloseAll
	})
	for range clients {
		g.client(0).send(connect)
	}
	uses := map[string]int{}
	for range clients {
		u := g.upstream()
		_, after, _ := strings.Cut(u.head(), "Proxy-Authorization: ")
		uses[after]++
	}
	if len(uses) != clients/most {
		t.Errorf("%d sessions have served %d requests; want %d each", len(uses), clients, most)
	}
	for id, n := range uses {
		if n > most {
			t.Errorf("%q has served %d requests; want at most %d", id, n, most)
		}
	}
}

// A new session has all of its idle time before it, however long the port has been idle.
func TestIdleBeginsWithTheSession(t *testing.T) {
	g := newRig(t, withAPI("portmapper"), func(cfg *Config) { cfg.Mappings[0].IdleLifetime = time.Hour })
	g.served()
	p := g.relay.ports()[0]
	p.usedAt.Store(g.relay.clock() - int64(2*time.Hour))
	g.call(renewSession)
	made := g.sessionID()
	g.served()
	if g.sessionID() != made {
		t.Error("the session that a call has just made is idle")
	}
	// And what does not go through it is no traffic of its.
	tunnel, end := g.tunnel()
	g.call(renewSession)
	before := p.usedAt.Load() - int64(time.Minute)
	p.usedAt.Store(before)
	tunnel.send("x")
	end.expect("x")
	if p.usedAt.Load() != before {
		t.Error("a tunnel of an earlier session keeps the new one from idling")
	}
}

// Without traffic a session ends, by itself, and reaches its connections; with traffic it does not.
func TestIdleLifetime(t *testing.T) {
	var ev eventLog
	g := newRig(t, ev.in, func(cfg *Config) {
		cfg.Mappings[0].IdleLifetime = 400 * time.Millisecond
		cfg.Mappings[0].OnRotate = session.CloseAll
	})
	tunnel, end := g.tunnel()
	first := g.sessionID()
	for range 8 { // twice the time
		time.Sleep(100 * time.Millisecond)
		tunnel.send("x")
		end.expect("x")
	}
	if g.sessionID() != first {
		t.Fatalf("the session has ended in spite of its traffic: %v", ev.reasons())
	}
	tunnel.expectReset()
	if got := ev.last(); got.Reason != "idle" || got.Change.Old.ID() != first || got.Change.New != nil {
		t.Errorf("got %+v; want the session's end for its idleness", got)
	}
	g.tunnel()
	if g.sessionID() == first {
		t.Error("the next request goes under the old session")
	}
}

// Traffic counts from the relay's first moment on.
func TestIdleAfterEarlyTraffic(t *testing.T) {
	t.Parallel()
	var ev eventLog
	g := newRig(t, ev.in, func(cfg *Config) { cfg.Mappings[0].IdleLifetime = 200 * time.Millisecond })
	p := g.relay.ports()[0]
	p.usedAt.Store(0)
	p.touch(1)
	if p.usedAt.Load() != 1 {
		t.Error("traffic of the first moment is not noted")
	}
	p.slot.Current(time.Now().UnixNano(), nil)
	await(t, "the session has ended for its idleness", func() bool { return ev.last().Reason == "idle" })
}

// To ask for the session is no traffic: the provider does not see it, and drops the session all the same.
func TestCallsDoNotKeepSessionFromIdling(t *testing.T) {
	t.Parallel()
	var ev eventLog
	g := newRig(t, ev.in, withAPI("portmapper"), func(cfg *Config) { cfg.Mappings[0].IdleLifetime = 200 * time.Millisecond })
	g.served()
	first := g.sessionID()
	await(t, "the session has ended for its idleness", func() bool {
		g.call("GET http://portmapper/session/")
		return ev.reasons()[len(ev.reasons())-1] != "traffic" || g.sessionID() != first
	})
	if got := ev.reasons(); got[1] != "idle" {
		t.Errorf("got %v; want the session's end for its idleness", got)
	}
}

// Each change is told, in its order.
func TestEvents(t *testing.T) {
	t.Parallel()
	var ev eventLog
	g := newRig(t, ev.in, withAPI("portmapper"), func(cfg *Config) {
		cfg.Mappings[0].Plan = newPlan(t, session.PlanConfig{Lifetime: 300 * time.Millisecond})
	})
	g.served()
	g.call(renewSession)
	g.call(resetSession)
	g.call(resetSession) // changes nothing
	g.served()
	await(t, "the session has expired", func() bool { return ev.last().Reason == "expired" })
	want := []string{"traffic", "new", "reset", "traffic", "expired"}
	got := ev.reasons()
	if len(got) != len(want) {
		t.Fatalf("got %v; want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got %v; want %v", got, want)
		}
	}
	if ev.last().Port != g.relay.Ports()[0] {
		t.Errorf("the event is of port %v", ev.last().Port)
	}
}

// What expires is told before what takes its place, and once, whether a request comes first or the watch does.
func TestExpiryIsToldBeforeTheNextSession(t *testing.T) {
	var ev eventLog
	g := newRig(t, ev.in)
	slot := g.relay.ports()[0].slot
	now := time.Now().UnixNano()
	for range 3 {
		slot.Current(now, nil)
		now += int64(time.Hour)
	}
	g.relay.Rotate(t.Context(), g.relay.Ports()[:1], &Rotation{})
	want := "traffic expired traffic expired traffic reset"
	if got := strings.Join(ev.reasons(), " "); got != want {
		t.Errorf("got %s; want %s", got, want)
	}
}

// What costs every port memory is bounded where it is kept, whoever makes the configuration.
func TestSignalsAreBounded(t *testing.T) {
	for want, list := range map[string][]Signal{
		"21 signals: at most 20 are allowed":         slices.Repeat([]Signal{{Status: []int{403}, Count: 1}}, MaxSignals+1),
		"signal 2: count 1001: must be 1 to 1000":    {{Count: 1}, {Count: MaxSignalCount + 1}},
		"ports 7-8: signal 1: count 0: must be 1 to": {{}},
	} {
		_, err := Listen(Config{Mappings: []Mapping{{Address: netip.MustParseAddr("127.0.0.1"), First: 7, Last: 8, RotateOn: list}}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %s", err, want)
		}
	}
}
