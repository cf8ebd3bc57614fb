package lookup

import (
	"strings"
	"testing"
	"time"
)

// Name servers are asked in the system's order, but for those that were silent within the last minute. step by step: what
// the system wants next, or what has happened, and which one is asked.
func TestNameServers(t *testing.T) {
	for name, steps := range map[string]string{
		"all are well":              "udp a=a; udp b=b; udp c=c; udp a=a",
		"the first is silent":       "udp a=a; silent a; udp b=b; next; udp a=b; next; udp a=b",
		"it is asked all the same":  "udp a=a; silent a; udp b=b; next; udp a=b; udp b=a; udp a=b",
		"it comes last":             "udp a=a; silent a; udp b=b; udp c=c; next; udp a=b; udp b=c; udp c=a",
		"for a minute":              "udp a=a; silent a; udp b=b; next; wait 59s; udp a=b; next; wait 1s; udp a=a",
		"it answers again":          "udp a=a; silent a; udp b=b; next; udp a=b; udp b=a; answer a; next; udp a=a",
		"all are silent":            "udp a=a; silent a; udp b=b; silent b; next; udp a=a; udp b=b",
		"nobody else is known":      "udp a=a; silent a; next; udp a=a",
		"the system begins with b":  "udp a=a; silent a; udp b=b; next; udp b=b; udp a=a",
		"an answer was too long":    "udp a=a; silent a; udp b=b; next; udp a=b; tcp a=b",
		"TCP from the start":        "tcp a=a; silent a; tcp b=b; next; tcp a=b; tcp b=a",
		"it has answered meanwhile": "udp a=a; sent; wait 1s; answer a; wait 4s; silent a; udp b=b; next; udp a=a",
	} {
		var n nameServers
		var r round
		now := time.Unix(1, 0)
		sent := now
		for step := range strings.SplitSeq(steps, "; ") {
			verb, what, _ := strings.Cut(step, " ")
			switch verb {
			case "next": // another question
				r = round{}
			case "silent":
				if !strings.Contains(steps, "sent;") {
					sent = now
				}
				n.timedOut(what, sent, now)
			case "answer":
				n.answered(what, now)
			case "sent":
				sent = now
			case "wait":
				d, err := time.ParseDuration(what)
				if err != nil {
					t.Fatal(err)
				}
				now = now.Add(d)
			default:
				wanted, want, _ := strings.Cut(what, "=")
				if got := n.pick(&r, verb, wanted, now); got != want {
					t.Errorf("%s: at %q of %q %s is asked", name, step, steps, got)
				}
			}
		}
	}
}

// What is remembered is bounded, however often the system's settings change.
func TestNameServersAreBounded(t *testing.T) {
	var n nameServers
	for i := range 3 * maxNameServers {
		n.pick(&round{}, "udp", string(rune('a'+i)), time.Unix(1, 0))
	}
	if len(n.known) != maxNameServers {
		t.Errorf("%d are remembered; want %d at most", len(n.known), maxNameServers)
	}
}
