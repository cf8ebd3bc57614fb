//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// A call is one of the Session API through the port itself.
type call struct {
	*run
	port  int
	what  string // empty: it looks; new or reset
	how   How    // as said; empty: not
	asked Ask
	done  bool
}

var hows = []How{"", Keep, Drain, Close}

// newCall draws a call of a port that is about to be written. It must be ended by hear or fail.
func (r *run) newCall(port int, rng *rand.Rand) *call {
	c := &call{run: r, port: port, what: []string{"", "new", "new", "reset"}[rng.IntN(4)], how: hows[rng.IntN(len(hows))]}
	if r.quiet(port) {
		c.what = ""
	}
	if at := r.clock.now.Load(); c.what == "" {
		c.asked = r.model.Asked(port, at)
	} else {
		c.asked = r.model.Calls(port, at)
	}
	return c
}

// quiet reports whether no call changes a port's session for now, so that it comes to its end by itself.
func (r *run) quiet(port int) bool {
	return r.resting.Load() || !r.bed.mapping(port).CallsOnly && time.Duration(r.clock.now.Load())%quietPeriod >= quietPeriod-quietTime
}

// request renders it.
func (c *call) request() string {
	query := ""
	if c.what != "" && c.how != "" {
		query = "?on_rotate=" + string(c.how)
	}
	return fmt.Sprintf("GET http://%s/session/%s%s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", apiDomain, c.what, query)
}

// inside renders it for a tunnel to the API.
func (c *call) inside() string {
	return strings.Replace(c.request(), "http://"+apiDomain, "", 1)
}

// hear reads its answer, and returns the session in it.
func (c *call) hear(l *link) (string, error) {
	a, err := l.answer(false)
	at := c.clock.now.Load()
	switch {
	case err != nil:
		return "", err
	case a.status != 200:
		return "", unexpected("/session/"+c.what, a)
	case c.what == "":
		c.model.Showed(c.port, a.session, c.asked, at, true)
	case c.what == "new":
		c.model.Renewed(c.port, a.session, true, c.meant(c.port, c.how), c.asked, at)
	default:
		c.model.Reset(c.port, c.meant(c.port, c.how), c.asked, at)
	}
	c.done = true
	c.counted(c.what, c.meant(c.port, c.how), "port")
	return a.session, nil
}

// fail ends a call that has not been answered; nil is none.
func (c *call) fail() {
	if c != nil && !c.done && c.what != "" {
		c.done = true
		c.model.Failed(c.port)
	}
}

// meant is what becomes of connections by a call that says how, or nothing.
func (r *run) meant(port int, how How) How {
	if how == "" {
		how = r.bed.mapping(port).OnRotate
	}
	return r.sabotage.how(how)
}

// counted counts a rotation.
func (r *run) counted(what string, how How, by string) {
	if what == "" {
		what, how = "looked at", ""
	}
	r.count(strings.TrimSpace(fmt.Sprintf("%s %s", what, how)) + " by " + by)
}

// rotate calls some port, again and again until the run is over.
func (r *run) rotate(seed uint64) {
	rng := rand.New(rand.NewPCG(r.opts.Seed, seed))
	for !r.over() {
		r.gate.RLock()
		if err := r.callOnce(rng); err != nil && !r.killing.Load() {
			r.fail(err)
		}
		r.gate.RUnlock()
		time.Sleep(time.Duration(rng.Int64N(int64(callPauses))))
	}
}

func (r *run) callOnce(rng *rand.Rand) error {
	if rng.IntN(3) == 0 {
		return r.callMany(rng)
	}
	port := rng.IntN(r.bed.ports())
	l, err := dial(r.bed.port(port))
	if err != nil {
		return err
	}
	defer l.end(true)
	if tunnelled := rng.IntN(4) == 0; tunnelled {
		if err := l.connect(apiDomain, ""); err != nil {
			return err
		}
		return r.callThrough(l, port, rng, (*call).inside)
	}
	return r.callThrough(l, port, rng, (*call).request)
}

func (r *run) callThrough(l *link, port int, rng *rand.Rand, render func(*call) string) error {
	c := r.newCall(port, rng)
	defer c.fail()
	if err := l.send(render(c)); err != nil {
		return fmt.Errorf("call on %s: %w", r.bed.port(port), err)
	}
	if _, err := c.hear(l); err != nil {
		return fmt.Errorf("call on %s: %w", r.bed.port(port), err)
	}
	return nil
}

// A listing is what the admin listener answers.
type listing struct {
	Sessions []struct {
		Port int     `json:"port"`
		ID   *string `json:"session_id"`
		Over bool    `json:"expired"`
	} `json:"sessions"`
}

// list asks the admin listener.
func (r *run) list(request string) (listing, error) {
	var got listing
	l, err := dial(r.bed.admin())
	if err != nil {
		return got, err
	}
	defer l.end(true)
	if err := l.send(request + " HTTP/1.1\r\nHost: " + r.bed.admin().String() + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"); err != nil {
		return got, fmt.Errorf("%s: %w", request, err)
	}
	res, err := http.ReadResponse(l.r, nil)
	if err != nil {
		return got, fmt.Errorf("%s: %w", request, err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		return got, fmt.Errorf("%s: %s, %q", request, res.Status, text)
	}
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		return got, fmt.Errorf("%s: %w", request, err)
	}
	return got, nil
}

// callMany looks at ports that stand beside each other, or rotates them, through the admin listener.
func (r *run) callMany(rng *rand.Rand) error {
	first := rng.IntN(r.bed.ports())
	last := min(first+rng.IntN(4), r.bed.ports()-1)
	what, how := []string{"", "new", "reset"}[rng.IntN(3)], hows[rng.IntN(len(hows))]
	if r.quiet(first) || r.quiet(last) {
		what = ""
	}
	asked := make([]Ask, last+1)
	for i := first; i <= last; i++ {
		if what == "" {
			asked[i] = r.model.Asked(i, r.clock.now.Load())
		} else {
			asked[i] = r.model.Calls(i, r.clock.now.Load())
		}
	}
	request := fmt.Sprintf("GET /sessions?ports=%d-%d", firstPort+first, firstPort+last)
	if what != "" {
		request = fmt.Sprintf("POST /sessions/%s?ports=%d-%d", what, firstPort+first, firstPort+last)
		if how != "" {
			request += "&on_rotate=" + string(how)
		}
	}
	got, err := r.list(request)
	if err == nil && len(got.Sessions) != last+1-first {
		err = fmt.Errorf("%s: %d ports are shown", request, len(got.Sessions))
	}
	if err != nil {
		for i := first; i <= last && what != ""; i++ {
			r.model.Failed(i)
		}
		return err
	}
	at := r.clock.now.Load()
	for _, s := range got.Sessions {
		i, id := s.Port-firstPort, textOf(s.ID)
		if i < first || i > last {
			return fmt.Errorf("%s: port %d is shown", request, s.Port)
		}
		switch {
		case what == "new":
			r.model.Renewed(i, id, false, r.meant(i, how), asked[i], at)
		case what == "reset":
			r.model.Reset(i, r.meant(i, how), asked[i], at)
		case id != "" && !s.Over: // what has expired is shown until the next one comes
			r.model.Showed(i, id, asked[i], at, false)
		}
		r.counted(what, r.meant(i, how), "admin")
	}
	return nil
}
