package relay

// events are what a poller saw on a descriptor.
type events uint8

const (
	evRead  events = 1 << iota // bytes, an end or an error are there to be read
	evWrite                    // there is room to write, or a connect has ended
	evHup                      // the peer has sent its FIN: behind the bytes that are there, a read returns 0
	evError                    // the connection was reset, or a connect failed
)

// A poller waits for the descriptors of one loop. Only wake may be called from elsewhere than that loop.
//
// It calls l.tick and then l.event for each event, and l.turn after a batch of them in which the loop asked for one,
// after a wake, and when the loop's next deadline is due.
type poller interface {
	// add watches a connection: readable and writable, edge-triggered, once for the descriptor's life on this loop.
	// Closing the descriptor ends it.
	add(fd int, token uint64) error
	// listen watches a listener: readable, level-triggered, so that one accept an event is enough.
	listen(fd int, token uint64) error
	// remove ends what listen, or where loops gather connections add, began. The descriptor stays open.
	remove(fd int) error
	// run returns when l.turn says that the loop has ended, or with what made waiting impossible.
	run(l *loop) error
	// wake makes the loop take a turn soon. It may be called from any goroutine, also when run has returned.
	wake()
	close() error
}

// A token says which descriptor of a loop an event is for. Its upper half is the generation: a number that is given
// out once, so that an event for a descriptor that was closed, and perhaps opened anew, is seen to be stale.
//
//	63..32 generation   31 listener   30..1 index in the loop's table   0 side of a connection
const (
	tokenListener = 1 << 31
	tokenUpstream = 1 << 0
)

func token(gen, low uint32) uint64 { return uint64(gen)<<32 | uint64(low) }
