package relay

import (
	"io"

	"proxymap/relay/internal/kernel"
	"proxymap/relay/internal/poll"
)

// A socket is one side of a connection as its loop sees it: the descriptor, and what the poller has said of it since the
// last call that found otherwise. The watch is edge-triggered: what is forgotten here is not told again.
type socket struct {
	fd       int    // -1 if there is none
	gen      uint32 // of the token it is watched under
	readable bool   // a read may give something
	writable bool   // a write may take something
	hup      bool   // the peer's FIN has come: behind the last byte there is an end to be read

	keepAliveAt int64 // the loop's time at which it gets keep-alive; 0: it has, or is to have none

	flow *flow      // that counts its bytes, of an upstream socket; nil: none does
	host *hostTally // that counts them too; nil: none does
}

var noSocket = socket{fd: -1}

func (s *socket) note(ev poll.Events) {
	s.readable = s.readable || ev&poll.Readable != 0
	s.writable = s.writable || ev&poll.Writable != 0
	s.hup = s.hup || ev&poll.Hup != 0
}

// countRead counts bytes that have been read, by whatever call.
func (s *socket) countRead(n int) {
	if s.flow != nil {
		s.flow.read.Add(int64(n))
		if s.host != nil {
			s.host.counted().flow.read.Add(int64(n))
		}
	}
}

// countSent counts bytes that the kernel has taken.
func (s *socket) countSent(n int) {
	if s.flow != nil {
		s.flow.sent.Add(int64(n))
		if s.host != nil {
			s.host.counted().sent.Add(int64(n))
		}
	}
}

// read reads into b. It returns io.EOF at the peer's FIN, kernel.ErrAgain if there is nothing now.
//
// A read that comes back short has emptied the socket, so the next one waits for the poller. But no event will tell of
// an end that was told of already: after a hup reading goes on until the end is read.
func (s *socket) read(b []byte) (int, error) {
	n, err := kernel.Read(s.fd, b)
	switch {
	case err != nil:
		if err == kernel.ErrAgain {
			s.readable = false
		}
		return 0, err
	case n == 0:
		s.readable = false
		return 0, io.EOF
	case n < len(b) && !s.hup:
		s.readable = false
	}
	s.countRead(n)
	return n, nil
}

// splice is read, into a pipe that is empty and at most most bytes.
func (s *socket) splice(p *kernel.Pipe, most int64) (int, error) {
	n, err := p.Fill(s.fd, most)
	switch err {
	case nil:
		s.countRead(n)
	case kernel.ErrAgain, io.EOF:
		s.readable = false
	}
	return n, err
}

// write writes what the socket takes of b now.
func (s *socket) write(b []byte) (int, error) {
	n, err := kernel.Write(s.fd, b)
	return s.wrote(n, len(b), err)
}

// wrote judges what a write of size bytes has returned.
func (s *socket) wrote(n, size int, err error) (int, error) {
	if err == kernel.ErrAgain {
		n, err = 0, nil
	}
	if err != nil {
		return 0, err
	}
	if n < size {
		s.writable = false
	}
	s.countSent(n)
	return n, nil
}

// A direction is the way of bytes to one side of a connection. What the sink did not take is kept here, and while there
// is any, the source is not read: that is the whole of back-pressure, and its bound.
type direction struct {
	unsent buffer
	pipe   *pipe // while it splices; its bytes stand behind unsent's

	readOutOf *pipeCount // while unsent is what was read out of a pipe

	bulk  uint8 // small splices until it copies again; 0: it copies
	ended bool  // of a tunnel: nothing will come any more, and the sink has been told, or is broken
}

// empty reports whether the direction keeps nothing.
func (d *direction) empty() bool { return d.kept() == 0 }

// kept is how many bytes the direction keeps.
func (d *direction) kept() int {
	n := len(d.unsent.bytes())
	if d.pipe != nil {
		n += d.pipe.Held
	}
	return n
}

// send writes b to the sink and keeps what it does not take.
func (d *direction) send(sink *socket, b []byte) error {
	n := 0
	if d.unsent.empty() && sink.writable {
		var err error
		if n, err = sink.write(b); err != nil {
			return err
		}
	}
	if n < len(b) {
		d.unsent.append(b[n:])
		d.bulk = 0
	}
	return nil
}

// flush writes what is kept. It reports whether all has been taken.
func (d *direction) flush(sink *socket) (bool, error) {
	for !d.unsent.empty() {
		if !sink.writable {
			return false, nil
		}
		n, err := sink.write(d.unsent.bytes())
		if err != nil {
			return false, err
		}
		d.unsent.skip(n)
	}
	d.forgetReadOut()
	if d.pipe != nil {
		return d.drain(sink)
	}
	return true, nil
}

// A receipt is what a read from a peer has come to.
type receipt uint8

const (
	nothingNow receipt = iota // the poller reports when there is more
	bytesCame                 // at least one
	peerEnded                 // its FIN: nothing will come any more
	peerReset                 // it has reset the connection, or the connection has failed in another way
)

// receive reads what has come into buf, and returns it as a part of buf; without bytesCame it returns nil. It asks the kernel
// only if the poller has reported something. Whatever collects a message reads with it, so that what a read can come to is
// told apart in one place.
func (s *socket) receive(buf []byte) ([]byte, receipt) {
	if !s.readable {
		return nil, nothingNow
	}
	n, err := s.read(buf)
	switch err {
	case nil:
		return buf[:n], bytesCame
	case kernel.ErrAgain:
		return nil, nothingNow
	case io.EOF:
		return nil, peerEnded
	}
	return nil, peerReset
}
