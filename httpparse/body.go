package httpparse

import "cmp"

// A BodyKind is how the end of a message's content is found (RFC 9112 section 6.3).
type BodyKind uint8

// The kinds of framing.
const (
	BodyNone       BodyKind = iota // no content
	BodyLength                     // Content-Length
	BodyChunked                    // Transfer-Encoding: chunked
	BodyUntilClose                 // a response that ends with its connection
)

// A Body is the framing of a message's content. The zero value is no content.
type Body struct {
	Kind   BodyKind
	Length int64 // bytes, of BodyLength; more than 0
}

// What bounds the framing of a chunked body, so that a sender cannot keep a reader busy with nothing.
const (
	maxChunkLine   = 1 << 10  // bytes of a chunk-size line; a signed AWS chunk has 90
	maxChunkExcess = 16 << 10 // bytes of chunk extensions and leading zeros in excess of the bytes of data they came with
	plainChunkSize = 16       // hexadecimal digits of a size that are not excess
	maxTrailers    = 8 << 10  // bytes of a trailer section
)

var (
	errChunkSize      = malformed("a chunk size is not a plain hexadecimal number below 2^63")
	errChunkExtension = malformed("a chunk extension holds a control character or an open quote")
	errChunkLine      = malformed("a chunk size line is longer than 1 KiB, or chunk extensions outweigh the data")
	errChunkEnd       = malformed("a chunk's data is not followed by CRLF")
	errTrailer        = malformed("a trailer field line is malformed")
	errTrailerSize    = malformed("the trailer section is larger than 8 KiB")
	errTrailerField   = malformed("a trailer field that framing, routing or authentication depend on")
)

type chunkState uint8

const (
	chunkSizeStart chunkState = iota
	chunkSize
	chunkSpace
	chunkExtension
	chunkQuoted
	chunkEscaped
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	trailerStart
	trailerName
	trailerValue
	trailerLF
	trailerEndLF
	chunkDone
)

// Chunks reads the framing of a chunked body (RFC 9112 section 7.1) as it comes, in pieces of any size. The zero value
// is before the first chunk of a request's. A size that is followed by white space, and what else a response's may have, is
// passed on as it came: it is for the client to read as it would have.
type Chunks struct {
	Odd    Oddities // what has been taken so far
	takes  Oddities
	left   int64  // bytes of the current chunk's data still to come
	hash   uint64 // of the trailer's field name so far
	line   int32  // bytes of the current line, or of the trailer section
	excess int32
	state  chunkState
}

// ChunksOfResponse is before the first chunk of a response's body.
func ChunksOfResponse() Chunks { return Chunks{takes: ofResponses} }

// find notes an oddity, or returns fault.
func (c *Chunks) find(o Oddity, fault *Error) error {
	if c.Odd.find(o, c.takes) != nil {
		return fault
	}
	return nil
}

// Done reports whether the body has ended, its trailer section included.
func (c *Chunks) Done() bool { return c.state == chunkDone }

// Left is how many bytes of the current chunk's data are still to come.
func (c *Chunks) Left() int64 {
	if c.state != chunkData {
		return 0
	}
	return c.left
}

// Next reads from p: framing up to the next data, and that data as far as p has it. n is how much of p that was, and
// data, a sub-slice of p that ends at p[n], what of it is content. With n < len(p) there is more to read, unless Done.
func (c *Chunks) Next(p []byte) (n int, data []byte, err error) {
	for n < len(p) && c.state != chunkDone {
		if c.state == chunkData {
			end := len(p)
			if int64(end-n) >= c.left {
				end = n + int(c.left)
				c.state = chunkDataCR
			}
			c.left -= int64(end - n)
			return end, p[n:end], nil
		}
		if err := c.step(p[n]); err != nil {
			return n, nil, err
		}
		n++
	}
	return n, nil, nil
}

// step takes one byte that is not data.
func (c *Chunks) step(b byte) error {
	switch c.state {
	case chunkSizeStart, chunkSize, chunkSpace:
		return c.size(b)
	case chunkExtension, chunkQuoted, chunkEscaped:
		return c.extension(b)
	case chunkSizeLF:
		if b != '\n' {
			return errChunkSize
		}
		c.sizeEnd()
		return nil
	case chunkDataCR:
		if b == '\n' {
			c.state = chunkSizeStart
			return c.find(OddChunkLF, errChunkEnd)
		}
		return c.expect(b, '\r', chunkDataLF, errChunkEnd)
	case chunkDataLF:
		return c.expect(b, '\n', chunkSizeStart, errChunkEnd)
	}
	return c.trailer(b)
}

func (c *Chunks) expect(b, want byte, next chunkState, fault error) error {
	if b != want {
		return fault
	}
	c.state = next
	return nil
}

// size takes a byte of the chunk size, or of white space behind it. Only digits may stand there: signs, white space before
// it and 0x are where readers differ.
func (c *Chunks) size(b byte) error {
	if digit, ok := hexDigit(b); ok && c.state != chunkSpace {
		if c.state == chunkSizeStart {
			c.state, c.left, c.line = chunkSize, 0, 0
		}
		if c.left > (1<<63-1)>>4 {
			return errChunkSize
		}
		c.left = c.left<<4 | int64(digit)
		if c.line >= plainChunkSize {
			c.excess++
		}
		return c.count()
	}
	switch {
	case c.state == chunkSizeStart:
		return errChunkSize
	case b == '\r':
		c.state = chunkSizeLF
	case b == ';':
		c.state = chunkExtension
		return c.count()
	case b == '\n':
		c.sizeEnd()
		return c.find(OddChunkLF, errChunkSize)
	case isSpace(b):
		c.state = chunkSpace
		c.excess++
		return cmp.Or(c.find(OddChunkSpace, errChunkSize), c.count())
	default:
		return errChunkSize
	}
	return nil
}

// count counts a byte of the chunk-size line.
func (c *Chunks) count() error {
	if c.line++; c.line > maxChunkLine || c.excess > maxChunkExcess {
		return errChunkLine
	}
	return nil
}

// extension takes a byte of a chunk extension (RFC 9112 section 7.1.1). Quotes are followed only so far that a line
// cannot end within them: not even a response's.
func (c *Chunks) extension(b byte) error {
	switch {
	case b == '\r' && c.state == chunkExtension:
		c.state = chunkSizeLF
		return nil
	case b == '\n' && c.state == chunkExtension:
		c.sizeEnd()
		return cmp.Or(c.find(OddChunkExtension, errChunkExtension), c.find(OddChunkLF, errChunkExtension))
	}
	if classes[b]&classText == 0 {
		if err := c.control(b, errChunkExtension); err != nil {
			return err
		}
	}
	switch {
	case c.state == chunkEscaped:
		c.state = chunkQuoted
	case b == '\\' && c.state == chunkQuoted:
		c.state = chunkEscaped
	case b == '"' && c.state == chunkQuoted:
		c.state = chunkExtension
	case b == '"':
		c.state = chunkQuoted
	}
	c.excess++
	return c.count()
}

// control takes a control character where text stands, and CR and LF only where they end no line.
func (c *Chunks) control(b byte, fault *Error) error {
	if b == 0 || b == '\r' || b == '\n' {
		return fault
	}
	return c.find(OddControl, fault)
}

// sizeEnd ends a chunk-size line. A size of 0 is the last chunk.
func (c *Chunks) sizeEnd() {
	if c.left == 0 {
		c.state, c.line = trailerStart, 0
		return
	}
	c.excess = int32(max(0, int64(c.excess)-c.left))
	c.state = chunkData
}

// trailer takes a byte of the trailer section (RFC 9112 section 7.1.2).
func (c *Chunks) trailer(b byte) error {
	if c.line++; c.line > maxTrailers {
		return errTrailerSize
	}
	switch c.state {
	case trailerStart:
		switch b {
		case '\r':
			c.state = trailerEndLF
			return nil
		case '\n':
			c.state = chunkDone
			return c.find(OddChunkLF, errTrailer)
		}
		c.hash = nameHashStart
		return c.trailerName(b)
	case trailerName:
		if b == ':' {
			c.state = trailerValue
			return c.trailerField()
		}
		return c.trailerName(b)
	case trailerValue:
		switch {
		case b == '\r':
			c.state = trailerLF
		case b == '\n':
			c.state = trailerStart
			return c.find(OddChunkLF, errTrailer)
		case classes[b]&classText == 0:
			return c.control(b, errTrailer)
		}
		return nil
	case trailerLF:
		return c.expect(b, '\n', trailerStart, errTrailer)
	}
	return c.expect(b, '\n', chunkDone, errTrailer)
}

// trailerName takes a byte of a trailer line's name. What is no name is a line of another kind, to its end.
func (c *Chunks) trailerName(b byte) error {
	if classes[b]&classToken != 0 {
		c.state = trailerName
		c.hash = nameHash(c.hash, b)
		return nil
	}
	if err := c.find(OddTrailer, errTrailer); err != nil {
		return err
	}
	c.state = trailerValue
	c.line-- // it is counted there
	return c.trailer(b)
}

// forbiddenTrailers are the fields that RFC 9110 section 6.5.1 keeps out of trailers and that could harm behind us: a
// reader that merges trailers into the head would frame, route or authenticate by them.
var forbiddenTrailers = func() (set [12]uint64) {
	for i, name := range [...]string{
		"transfer-encoding", "content-length", "host", "trailer", "connection", "proxy-connection",
		"upgrade", "te", "expect", "authorization", "proxy-authorization", "proxy-authenticate",
	} {
		set[i] = nameHashStart
		for _, b := range []byte(name) {
			set[i] = nameHash(set[i], b)
		}
	}
	return set
}()

// trailerField looks at the name of a trailer field.
func (c *Chunks) trailerField() error {
	for _, h := range forbiddenTrailers {
		if h == c.hash {
			return c.find(OddTrailer, errTrailerField)
		}
	}
	return nil
}

// nameHash is FNV-1a over the name in lower case: names come in pieces, and keeping 8 bytes beats keeping the name.
const nameHashStart = 14695981039346656037

func nameHash(h uint64, b byte) uint64 { return (h ^ uint64(toLower(b))) * 1099511628211 }

func hexDigit(b byte) (byte, bool) {
	switch {
	case '0' <= b && b <= '9':
		return b - '0', true
	case 'a' <= b && b <= 'f':
		return b - 'a' + 10, true
	case 'A' <= b && b <= 'F':
		return b - 'A' + 10, true
	}
	return 0, false
}
