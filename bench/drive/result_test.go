//go:build linux

package drive

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func addrPort(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

func TestLatencyQuantiles(t *testing.T) {
	r := &Result{}
	if got := r.Latency(.5); got != 0 {
		t.Errorf("of none: %v", got)
	}
	for i := range 1000 {
		r.latencies = append(r.latencies, int64(i+1)*int64(time.Microsecond))
	}
	for q, want := range map[float64]time.Duration{
		0: time.Microsecond, .5: 501 * time.Microsecond, .99: 991 * time.Microsecond, .999: 1000 * time.Microsecond, 1: 1000 * time.Microsecond,
	} {
		if got := r.Latency(q); got != want {
			t.Errorf("quantile %v is %v; want %v", q, got, want)
		}
	}
}

func TestRate(t *testing.T) {
	if got := (&Result{Operations: 300, Elapsed: 1500 * time.Millisecond}).Rate(); got != 200 {
		t.Errorf("got %v; want 200", got)
	}
}

// Clients are shared out so that none is missing, and no worker has two more than another.
func TestShare(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7} {
		for total := range 30 {
			sum, least, most := 0, total, 0
			for i := range n {
				s := share(total, n, i)
				sum, least, most = sum+s, min(least, s), max(most, s)
			}
			if sum != total || most-least > 1 {
				t.Errorf("%d over %d: %d in all, from %d to %d", total, n, sum, least, most)
			}
		}
	}
}

func TestDefaults(t *testing.T) {
	s := Scenario{}.withDefaults()
	if s.Clients != 64 || s.Threads != 2 || s.Request != 256 || s.Response != 1024 || s.Warm != 500*time.Millisecond || s.Duration != 3*time.Second {
		t.Errorf("got %+v", s)
	}
	if s := (Scenario{Clients: 1}).withDefaults(); s.Threads != 1 {
		t.Errorf("%d threads for one client; want 1", s.Threads)
	}
}

// What is sent is what bench/README.md says: 256 bytes there, 1 KiB back, a PUT if there is content.
func TestMessages(t *testing.T) {
	s := Scenario{}.withDefaults()
	m := newMessages(&s)
	if len(m.ask) != 256 || m.rest != 0 || !strings.Contains(string(m.reply), "\r\nContent-Length: 1024\r\n") {
		t.Errorf("%d bytes there, %d behind %.200q", len(m.ask), m.rest, m.reply)
	}
	if i := strings.Index(string(m.reply), "\r\n\r\n"); len(m.reply)-i-4 != 1024 {
		t.Errorf("%d bytes of content with the head; want 1024", len(m.reply)-i-4)
	}
	if !strings.HasPrefix(string(m.request), "GET http://plain.example/") || strings.Contains(string(m.request), "Content-Length") {
		t.Errorf("the request is %q", m.request)
	}
	s.Content, s.Response = 100, 1<<20
	m = newMessages(&s)
	if m.rest != 1<<20 || !strings.HasSuffix(string(m.reply), "\r\n\r\n") {
		t.Errorf("large content: %d bytes behind %q", m.rest, m.reply)
	}
	if !strings.HasPrefix(string(m.request), "PUT ") || !strings.Contains(string(m.request), "\r\nContent-Length: 100\r\n") {
		t.Errorf("the request with content is %q", m.request)
	}
	if got := string(m.connect[Down]); !strings.HasPrefix(got, "CONNECT down.example:443 HTTP/1.1\r\n") || !strings.HasSuffix(got, "\r\n\r\n") {
		t.Errorf("the CONNECT is %q", got)
	}
}

func TestFirstError(t *testing.T) {
	a, b := &worker{}, &worker{}
	if err := firstError([]*worker{a, b}); err != nil {
		t.Error(err)
	}
	b.fail(errors.New("one"))
	b.fail(errors.New("two"))
	if err := firstError([]*worker{a, b}); err == nil || err.Error() != "one" || b.errors != 2 {
		t.Errorf("%v, %d errors; want the first of two", err, b.errors)
	}
}

// Latencies beyond the memory for them are not kept, and nothing counts before the clock runs.
func TestCompleted(t *testing.T) {
	w := &worker{start: time.Now(), latencies: make([]int64, 0, 1)}
	w.completed(0)
	if w.operations != 0 {
		t.Error("an operation counts before the clock runs")
	}
	w.counting.Store(true)
	w.completed(0)
	w.completed(0)
	if w.operations != 2 || len(w.latencies) != 1 || cap(w.latencies) != 1 {
		t.Errorf("%d operations, %d of %d latencies", w.operations, len(w.latencies), cap(w.latencies))
	}
}
