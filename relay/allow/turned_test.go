package allow

import (
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// What is turned away is told at once, and then once in each pause, with the last of them and how many there were. Nothing
// is told twice, nothing is forgotten, and at the end what is left is told.
func TestTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turned, stop := NewTurned(), make(chan struct{})
		come := func(last byte, n int) {
			for range n {
				turned.Add(Connection{From: netip.AddrFrom4([4]byte{10, 0, 0, last})})
			}
			synctest.Wait()
		}
		type told struct {
			last byte
			n    int
		}
		var mu sync.Mutex
		var lines []told
		go turned.Tell(stop, func() <-chan time.Time { return time.After(time.Minute) }, func(c Connection, n int) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, told{c.From.As4()[3], n})
		})
		expect := func(when string, want ...told) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if len(lines) != len(want) {
				t.Fatalf("%s: told %v; want %v", when, lines, want)
			}
			for i := range want {
				if lines[i] != want[i] {
					t.Fatalf("%s: told %v; want %v", when, lines, want)
				}
			}
		}
		expect("before anything")
		come(1, 1)
		expect("at once", told{1, 1})
		come(2, 40)
		come(3, 2)
		time.Sleep(59 * time.Second)
		expect("within the minute", told{1, 1})
		time.Sleep(2 * time.Second)
		expect("after it", told{1, 1}, told{3, 42})
		time.Sleep(10 * time.Minute)
		expect("when nothing comes", told{1, 1}, told{3, 42})
		come(4, 1)
		come(5, 3)
		expect("later", told{1, 1}, told{3, 42}, told{4, 1})
		close(stop)
		expect("at the end", told{1, 1}, told{3, 42}, told{4, 1}, told{5, 3})
	})
}
