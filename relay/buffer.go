package relay

import "github.com/valyala/bytebufferpool"

// Buffers come in three sizes, each from a pool of its own: a few bytes that wait for hours must not do so in a buffer
// that could hold a whole read. In each pool all are of one size, which keeps its calibration from dropping any. What
// needs more room than all of them is the collector's.
const (
	headBuffer  = 512     // bytes: the heads of scripts
	smallBuffer = 4 << 10 // the heads of browsers
	largeBuffer = readSize
)

var headBuffers, smallBuffers, largeBuffers bytebufferpool.Pool

// A buffer holds bytes that must outlive the event they came with. The zero value holds none; one that has been emptied
// has given its memory back to the pool.
type buffer struct {
	b   *bytebufferpool.ByteBuffer
	off int // bytes of b that have been taken out
}

func (b *buffer) empty() bool { return b.b == nil }

// bytes is what the buffer holds. It is valid until the next call of another method.
func (b *buffer) bytes() []byte {
	if b.b == nil {
		return nil
	}
	return b.b.B[b.off:]
}

// append copies p to the end.
func (b *buffer) append(p []byte) {
	if len(p) == 0 {
		return
	}
	b.grow(len(p))
	b.b.B = append(b.b.B, p...)
}

// appendFrom appends n bytes that from reads, as many as it can at a time.
func (b *buffer) appendFrom(n int, from func([]byte) int) {
	b.grow(n)
	for n > 0 {
		end := len(b.b.B)
		m := from(b.b.B[end : end+n])
		b.b.B = b.b.B[:end+m]
		n -= m
	}
}

// grow makes room for n more bytes.
func (b *buffer) grow(n int) {
	switch {
	case b.b == nil:
		b.b = getBuffer(n)
	case cap(b.b.B)-len(b.b.B) < n:
		have := b.bytes()
		more := getBuffer(max(len(have)+n, 2*len(have)))
		more.B = append(more.B, have...)
		putBuffer(b.b)
		*b = buffer{b: more}
	}
}

// skip takes n bytes out at the beginning.
func (b *buffer) skip(n int) {
	if b.b == nil {
		return
	}
	if b.off += n; b.off >= len(b.b.B) {
		b.release()
	}
}

// release drops what the buffer holds.
func (b *buffer) release() {
	if b.b != nil {
		putBuffer(b.b)
		*b = buffer{}
	}
}

// getBuffer gets an empty buffer for at least n bytes.
func getBuffer(n int) *bytebufferpool.ByteBuffer {
	pool, size := &headBuffers, headBuffer
	switch {
	case n > largeBuffer:
		return &bytebufferpool.ByteBuffer{B: make([]byte, 0, n)}
	case n > smallBuffer:
		pool, size = &largeBuffers, largeBuffer
	case n > headBuffer:
		pool, size = &smallBuffers, smallBuffer
	}
	b := pool.Get()
	if cap(b.B) < size { // a new one
		b.B = make([]byte, 0, size)
	}
	return b
}

func putBuffer(b *bytebufferpool.ByteBuffer) {
	switch cap(b.B) {
	case headBuffer:
		b.B = b.B[:headBuffer]
		headBuffers.Put(b)
	case smallBuffer:
		b.B = b.B[:smallBuffer]
		smallBuffers.Put(b)
	case largeBuffer:
		b.B = b.B[:largeBuffer]
		largeBuffers.Put(b)
	}
}
