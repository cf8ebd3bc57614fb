package race

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// An address in the test's hands connects or refuses so long after its attempt has begun, or is silent.
type address struct {
	name string
	does string // "connects", "refuses" or "silent"
	in   time.Duration
}

// parse reads addresses such as "a silent, b connects 30ms".
func parse(t *testing.T, text string) (list []*address) {
	t.Helper()
	for entry := range strings.SplitSeq(text, ", ") {
		f := strings.Fields(entry)
		a := &address{name: f[0], does: f[1]}
		if len(f) > 2 {
			var err error
			if a.in, err = time.ParseDuration(f[2]); err != nil {
				t.Fatal(err)
			}
		}
		list = append(list, a)
	}
	return list
}

// A track is where a race is run by hand: its clock goes from one moment at which something happens to the next.
type track struct {
	Race
	now   int64
	left  []*address
	run   []*address // under way
	room  int        // attempts that there may be beside the first
	lines []string
}

func (k *track) say(what string) {
	k.lines = append(k.lines, fmt.Sprintf("%v %s", time.Duration(k.now), what))
}

func (k *track) begin() {
	a := k.left[0]
	k.left = k.left[1:]
	k.run = append(k.run, a)
	k.Begins(k.now)
	k.say(a.name)
}

func (k *track) end(i int) {
	k.run = slices.Delete(k.run, i, i+1)
	k.Ended(i)
}

// news is the attempt that hears from its address first, and when.
func (k *track) news() (first int, at int64) {
	first, at = -1, Never
	for i, a := range k.run {
		if heard := k.Begun(i) + int64(a.in); a.does != "silent" && heard < at {
			first, at = i, heard
		}
	}
	return first, at
}

// finish runs the race to its end.
func (k *track) finish() {
	k.begin()
	for {
		i, heard := k.news()
		k.now = min(heard, k.Wake(len(k.left) > 0))
		if heard == k.now {
			a := k.run[i]
			k.say(a.name + " " + a.does)
			if a.does == "connects" {
				return
			}
			k.end(i)
			if len(k.left) > 0 {
				k.begin()
			}
			if k.Running() == 0 {
				return
			}
			continue
		}
		move := k.Due(k.now, len(k.left) > 0)
		if move == Begin && k.Running() > k.room {
			move = k.Crowded(k.now)
		}
		switch move {
		case Replace:
			k.say(k.run[0].name + " makes room")
			k.end(0)
			k.begin()
		case Begin:
			k.begin()
		case GiveUp:
			k.say("given up")
			return
		}
	}
}

// Which address begins when, who wins, and who makes room.
func TestRace(t *testing.T) {
	const plenty = Most
	for _, row := range []struct {
		name      string
		addresses string
		usual     time.Duration
		room      int
		want      string
	}{
		{"the first connects", "a connects 30ms, b connects 1ms", 0, plenty, "0s a; 30ms a connects"},
		{"one alone", "a connects 3s", 0, plenty, "0s a; 3s a connects"},
		{"one alone is silent", "a silent", 0, plenty, "0s a; 10s given up"},
		{"the first is silent", "a silent, b connects 30ms", 0, plenty, "0s a; 250ms b; 280ms b connects"},
		{"the first is slow", "a connects 300ms, b connects 100ms", 0, plenty, "0s a; 250ms b; 300ms a connects"},
		{"the first is slower", "a connects 400ms, b connects 100ms", 0, plenty, "0s a; 250ms b; 350ms b connects"},
		{"the first refuses", "a refuses 10ms, b connects 30ms", 0, plenty, "0s a; 10ms a refuses; 10ms b; 40ms b connects"},
		{"all refuse", "a refuses 10ms, b refuses 10ms", 0, plenty, "0s a; 10ms a refuses; 10ms b; 20ms b refuses"},
		{"the second refuses", "a silent, b refuses 10ms, c connects 10ms", 0, plenty, "0s a; 250ms b; 260ms b refuses; 260ms c; 270ms c connects"},
		{"a server far away", "a silent, b connects 200ms", 200 * time.Millisecond, plenty, "0s a; 400ms b; 600ms b connects"},
		{"a server near by", "a silent, b connects 1ms", time.Millisecond, plenty, "0s a; 250ms b; 251ms b connects"},
		{"a server that takes its time", "a silent, b connects 2s", 4 * time.Second, plenty, "0s a; 2s b; 4s b connects"},
		{"three are silent", "a silent, b silent, c silent, d connects 10ms", 0, plenty,
			"0s a; 250ms b; 500ms c; 750ms a makes room; 750ms d; 760ms d connects"},
		{"all are silent", "a silent, b silent, c silent, d silent, e silent", 0, plenty,
			"0s a; 250ms b; 500ms c; 750ms a makes room; 750ms d; 1s b makes room; 1s e; 10s given up"},
		{"one of three refuses", "a silent, b silent, c refuses 10ms, d connects 10ms", 0, plenty,
			"0s a; 250ms b; 500ms c; 510ms c refuses; 510ms d; 520ms d connects"},
		{"no room beside the first", "a silent, b silent, c connects 10ms", 0, 0,
			"0s a; 3.333333333s a makes room; 3.333333333s b; 6.666666666s b makes room; 6.666666666s c; 6.676666666s c connects"},
		{"no room, and slow", "a connects 2s, b connects 10ms", 0, 0, "0s a; 2s a connects"},
		{"room for one", "a silent, b silent, c connects 10ms", 0, 1, "0s a; 250ms b; 3.333333333s a makes room; 3.333333333s c; 3.343333333s c connects"},
	} {
		k := &track{left: parse(t, row.addresses), room: row.room}
		k.Race = New(0, int64(10*time.Second), row.usual, len(k.left))
		k.finish()
		if got := strings.Join(k.lines, "; "); got != row.want {
			t.Errorf("%s: got %s; want %s", row.name, got, row.want)
		}
	}
}

// A race without an end waits for its attempts.
func TestRaceWithoutEnd(t *testing.T) {
	k := &track{left: parse(t, "a silent, b silent, c refuses 1ms, d connects 5h"), room: 0}
	k.Race = New(0, Never, 0, len(k.left))
	k.begin()
	if at := k.Wake(false); at != Never {
		t.Errorf("with no address left it wakes at %v", time.Duration(at))
	}
	for now := k.Wake(true); now < int64(time.Hour); now = k.Wake(true) {
		if move := k.Due(now, true); move != Begin {
			t.Fatalf("at %v: %v; want to begin", time.Duration(now), move)
		}
		if move := k.Crowded(now); move != Wait {
			t.Fatalf("at %v, without room: %v; want to wait, for the first has all the time", time.Duration(now), move)
		}
	}
}

// While addresses may still come, a race looks for them from time to time, and does not spin.
func TestRaceAwaitsAddresses(t *testing.T) {
	r := New(0, int64(10*time.Second), 0, 1)
	r.Begins(0)
	looks := 0
	for now := r.Wake(true); ; now = r.Wake(true) {
		looks++
		if move := r.Due(now, false); move == GiveUp {
			break
		} else if move != Wait {
			t.Fatalf("at %v: %v; want to wait", time.Duration(now), move)
		}
	}
	if looks != 40 {
		t.Errorf("it looked %d times in 10 s; want once each 250 ms", looks)
	}
}
