package relay

import (
	"io"

	"proxymap/relay/internal/kernel"
)

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
