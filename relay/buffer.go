package relay

import (
	"slices"

	"github.com/valyala/bytebufferpool"
)

// maxPooled is the largest buffer that goes back to the pool, in bytes.
const maxPooled = 2 * readSize

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
	if b.b == nil {
		b.b = bytebufferpool.Get()
	}
	b.b.B = append(b.b.B, p...)
}

// appendFrom appends n bytes that from reads, as many as it can at a time.
func (b *buffer) appendFrom(n int, from func([]byte) int) {
	if b.b == nil {
		b.b = bytebufferpool.Get()
	}
	b.b.B = slices.Grow(b.b.B, n)
	for n > 0 {
		end := len(b.b.B)
		m := from(b.b.B[end : end+n])
		b.b.B = b.b.B[:end+m]
		n -= m
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
	if b.b == nil {
		return
	}
	// The pool gives out any of its buffers for any use. A large one would sit behind a few bytes some day.
	if cap(b.b.B) <= maxPooled {
		bytebufferpool.Put(b.b)
	}
	*b = buffer{}
}
