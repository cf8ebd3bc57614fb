package schema

import (
	"math/rand/v2"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// The pattern of a range matches the numbers in it, and no others.
func TestBetween(t *testing.T) {
	for least := range 112 {
		for most := least; most < 112; most += 1 + least%7 {
			re := regexp.MustCompile("^" + between(least, most) + "$")
			for n := range 300 {
				if got, want := re.MatchString(strconv.Itoa(n)), least <= n && n <= most; got != want {
					t.Fatalf("%d to %d: %s matches %d: %v", least, most, re, n, got)
				}
			}
		}
	}
	for _, row := range [][2]int{{1, 65535}, {0, 525600}, {1024, 1 << 20}, {1, 1_000_000_000}, {2592001, 25920000}, {9, 10}, {99, 101}} {
		re := regexp.MustCompile("^" + between(row[0], row[1]) + "$")
		for range 2000 {
			n := rand.IntN(row[1] + row[1]/4 + 2)
			if got, want := re.MatchString(strconv.Itoa(n)), row[0] <= n && n <= row[1]; got != want {
				t.Fatalf("%d to %d: %s matches %d: %v", row[0], row[1], re, n, got)
			}
		}
		for _, n := range []int{row[0] - 1, row[0], row[1], row[1] + 1} {
			if got, want := re.MatchString(strconv.Itoa(n)), row[0] <= n && n <= row[1]; got != want {
				t.Errorf("%d to %d: %s matches %d: %v", row[0], row[1], re, n, got)
			}
		}
	}
}

// What time.ParseDuration reads and is within the bounds matches; what it does not read never does.
func TestDurationPattern(t *testing.T) {
	alphabet := []string{"0", "1", "7", "90", "720", ".", "h", "m", "s", "ms", "us", "µs", "ns", "+", "-", " "}
	for _, d := range []Duration{duration, orNever, {Least: time.Second, Most: 9 * time.Hour, Never: true}} {
		re := regexp.MustCompile("^(?:" + d.pattern() + ")$")
		seen := map[bool]int{}
		for range 30000 {
			text := ""
			for range 1 + rand.IntN(5) {
				text += alphabet[rand.IntN(len(alphabet))]
			}
			got, err := time.ParseDuration(text)
			fits := err == nil && (d.Least <= got && got <= d.Most || got == 0 && d.Never && text[0] != '-')
			matches := re.MatchString(text)
			if len(text) < 8 && (fits && !matches || err != nil && matches) {
				t.Fatalf("%+v: %q is %v, %v; matches: %v", d, text, got, err, matches)
			}
			seen[fits]++
		}
		if seen[true] < 500 || seen[false] < 500 {
			t.Fatalf("only %v were tried", seen)
		}
	}
	for text, want := range map[string]bool{
		"999ms": false, "1000ms": true, "1s": true, "9h": true, "10h": false, "541m": false, "540m": true, "1h30m": true, "1.5h": true,
		"0": true, "0s": true, "30": false, "": false, "1 s": false, "-1s": false, "1d": false,
	} {
		if got := regexp.MustCompile("^(?:" + Duration{time.Second, 9 * time.Hour, true}.pattern() + ")$").MatchString(text); got != want {
			t.Errorf("%q matches: %v", text, got)
		}
	}
}
