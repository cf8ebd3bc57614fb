//go:build linux

package main

import (
	"sync/atomic"
	"time"
)

// A clock stands still while this process does not get to run: what it is late for then is not the relay's fault. It may
// be slow by tickTime.
type clock struct {
	now  atomic.Int64
	stop chan struct{}
}

const (
	tickTime = 5 * time.Millisecond
	tickMost = 20 * time.Millisecond // that a tick may add
)

func startClock() *clock {
	c := &clock{stop: make(chan struct{})}
	go func() {
		ticker := time.NewTicker(tickTime)
		defer ticker.Stop()
		for last := time.Now(); ; {
			select {
			case <-c.stop:
				return
			case <-ticker.C:
			}
			now := time.Now()
			c.now.Add(int64(min(now.Sub(last), tickMost)))
			last = now
		}
	}()
	return c
}

func (c *clock) end() { close(c.stop) }
