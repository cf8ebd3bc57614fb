package main

import (
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"
)

// logQueue is how many log lines may wait to be written.
const logQueue = 1024

// An asyncWriter writes what it is given, line by line, from a goroutine of its own. Write never blocks: what finds the
// queue full is dropped, and counted. Errors of the underlying writer are ignored: there is nowhere to tell of them.
type asyncWriter struct {
	out     io.Writer
	queue   chan []byte
	dropped atomic.Int64
	stop    chan struct{}
	done    chan struct{}
}

func newAsyncWriter(out io.Writer) *asyncWriter {
	w := &asyncWriter{out: out, queue: make(chan []byte, logQueue), stop: make(chan struct{}), done: make(chan struct{})}
	go w.run()
	return w
}

// Write takes a copy of line. It never fails.
func (w *asyncWriter) Write(line []byte) (int, error) {
	select {
	case w.queue <- slices.Clone(line):
	default:
		w.dropped.Add(1)
	}
	return len(line), nil
}

func (w *asyncWriter) run() {
	defer close(w.done)
	for {
		select {
		case line := <-w.queue:
			w.write(line)
		case <-w.stop:
			for len(w.queue) > 0 {
				w.write(<-w.queue)
			}
			return
		}
	}
}

func (w *asyncWriter) write(line []byte) {
	if n := w.dropped.Swap(0); n > 0 {
		fmt.Fprintf(w.out, "level=WARN msg=\"log lines were dropped: they came faster than they could be written\" count=%d\n", n)
	}
	_, _ = w.out.Write(line)
}

// close writes what has been queued, for at most that long. What is written behind it may be lost.
func (w *asyncWriter) close(most time.Duration) {
	close(w.stop)
	select {
	case <-w.done:
	case <-time.After(most):
	}
}
