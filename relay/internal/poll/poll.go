package poll

// Events are what a poller saw on a descriptor.
type Events uint8

const (
	Readable Events = 1 << iota // bytes, an end or an error are there to be read
	Writable                    // there is room to write, or a connect has ended
	Hup                         // the peer has sent its FIN: after the bytes that are there, a read returns 0
	Failed                      // the connection was reset, or a connect failed
)

// A Token says what an event is for. Its upper half is a generation: a number that a loop gives out once, so that an event
// for a descriptor that was closed, and perhaps opened anew, is seen to be stale. Generations begin with 1. The lower half
// is the loop's business.
type Token uint64

// NewToken makes a token.
func NewToken(generation, low uint32) Token { return Token(generation)<<32 | Token(low) }

// Generation is the upper half.
func (t Token) Generation() uint32 { return uint32(t >> 32) }

// Low is the lower half.
func (t Token) Low() uint32 { return uint32(t) }

// A Loop is whom a Poller works for. Run calls all of it, on its own goroutine.
type Loop interface {
	// Tick reads the clock, at the beginning of each batch of events. It returns the time in nanoseconds, which is above
	// 0 and never steps back.
	Tick() int64
	// Event is one event of the batch. The descriptor may have been closed meanwhile: see Token.
	Event(token Token, ev Events)
	// Turn is called after a batch of events for which Deadline wants it, after a wake, and when the deadline is due. It
	// may be called without reason. It reports whether the loop has ended.
	Turn() (ended bool)
	// Deadline is the time at which the loop must have a turn. One that has passed means now, 0 means never.
	Deadline() int64

	// Waits is called when a wait begins, which ends with the next Tick, and Rests when it is going to be a long one.
	// Where Measures is false neither is called.
	Waits()
	Rests()
}

// poller is what both Pollers are. Only Wake may be called from elsewhere than the loop.
type poller interface {
	// Add watches a connection: readable and writable, edge-triggered, once for the descriptor's life on this loop.
	// Closing the descriptor ends it.
	Add(fd int, token Token) error
	// AddListener watches a listener: readable, level-triggered, so that one accept an event is enough.
	AddListener(fd int, token Token) error
	// Remove ends what AddListener, or where Measures is true Add, began. The descriptor stays open.
	Remove(fd int) error
	// Run returns nil when l.Turn says that the loop has ended, or what made waiting impossible. raw is what Reserve has
	// said.
	Run(l Loop, raw bool) error
	// Wake makes the loop take a turn soon. It may be called from any goroutine, also when Run has returned.
	Wake()
	// Close closes the poller's own descriptors, when Run has returned or was never called.
	Close() error
}

var _ poller = (*Poller)(nil)
