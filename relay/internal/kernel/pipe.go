package kernel

// A Pipe is a pipe(2) that bytes are spliced through: from a socket into it, and from there to another, without being
// copied. The zero value is none; OpenPipe makes one.
type Pipe struct {
	r, w int // descriptors
	Size int // bytes that it has room for at best
	Held int // bytes in it
}
