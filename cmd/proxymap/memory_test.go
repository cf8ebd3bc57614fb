package main

import (
	"testing"
	"time"
)

// Memory is given back where there is some, and once a minute at most; a burst that ends within the pause is not forgotten.
func TestMemoryGoesBackWhereThereIsSome(t *testing.T) {
	heap, freed := uint64(10<<20), 0
	var later func()
	m := &memoryReturn{
		needed: heap,
		heap:   func() uint64 { return heap },
		free:   func() { freed++; heap = 12 << 20 },
		wait:   func(_ time.Duration, f func()) { later = f },
	}
	now := time.Now().Add(-2 * givePause) // when the later look comes the pause is over
	for _, row := range []struct {
		heap  uint64
		after time.Duration
		freed int
		later bool
	}{
		{20 << 20, 0, 0, false},               // 10 MiB more than was needed
		{30 << 20, time.Second, 1, false},     // 20 MiB more
		{20 << 20, 2 * time.Second, 1, false}, // nothing to speak of
		{90 << 20, 3 * time.Second, 1, true},  // too soon
		{90 << 20, 4 * time.Second, 1, true},  // still too soon
	} {
		heap = row.heap
		m.look(now.Add(row.after))
		if freed != row.freed || (later != nil) != row.later {
			t.Errorf("heap of %d MiB after %v: given back %d times, later %v; want %d, %v", row.heap>>20, row.after, freed, later != nil, row.freed, row.later)
		}
	}
	later()
	if freed != 2 {
		t.Errorf("given back %d times when the pause was over; want 2", freed)
	}
}

func TestHeapBytes(t *testing.T) {
	if n := heapBytes(); n < 1<<16 {
		t.Errorf("the heap has %d bytes; want more", n)
	}
}
