//go:build linux

package drive

import (
	"bytes"
	"net/netip"
	"sync"
)

// A Stub is the provider alone, for clients that are programs of their own. It answers each request with 200 and the same
// content, from memory.
type Stub struct {
	workers []*worker
	done    sync.WaitGroup
	release func()
}

// StartStub has a provider listen on addr, with so many event loops, whose responses have so many bytes of content. The
// caller closes it. Its connections persist for HTTP/1.0 clients too, such as ab, which want to be told so.
func StartStub(addr netip.AddrPort, threads, response int) (*Stub, error) {
	scenario := &Scenario{Kind: Plain, Provider: addr, Threads: threads, Response: response}
	m := newMessages(scenario)
	m.reply = bytes.Replace(m.reply, []byte("\r\n"), []byte("\r\nConnection: keep-alive\r\n"), 1)
	s := &Stub{}
	for i := range threads {
		w, err := newWorker(scenario, m, i)
		if err != nil {
			s.closeAll()
			return nil, err
		}
		s.workers = append(s.workers, w)
	}
	s.release = reserveProcs(threads)
	for _, w := range s.workers {
		s.done.Go(w.run)
	}
	return s, nil
}

// Close ends the stub and its connections.
func (s *Stub) Close() {
	for _, w := range s.workers {
		w.stop.Store(true)
	}
	s.done.Wait()
	s.release()
	s.closeAll()
}

func (s *Stub) closeAll() {
	for _, w := range s.workers {
		w.closeAll()
	}
}
