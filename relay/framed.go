package relay

import "proxymap/httpparse"

// framed follows one message's content to its end. The zero value is of a message without content.
type framed struct {
	kind    httpparse.BodyKind
	left    int64 // bytes to come, of BodyLength
	chunks  httpparse.Chunks
	decodes bool  // chunks go on without their framing: to a client of HTTP/1.0
	fault   error // what move has found malformed
}

func frame(b httpparse.Body) framed { return framed{kind: b.Kind, left: b.Length} }

// done reports whether the content has ended, which a tunnel's never has.
func (f *framed) done() bool {
	if f == nil {
		return false
	}
	switch f.kind {
	case httpparse.BodyNone:
		return true
	case httpparse.BodyLength:
		return f.left == 0
	case httpparse.BodyChunked:
		return f.chunks.Done()
	}
	return false
}

// mayBeSpliced reports whether the content's rest is long enough, and known to be. A tunnel's always is.
func (f *framed) mayBeSpliced() bool {
	return f == nil || f.kind == httpparse.BodyLength && f.left >= spliceContent
}

// most is how many bytes of the content a splice may take at once.
func (f *framed) most() int64 {
	if f == nil {
		return pipeSize
	}
	return f.left
}

// spliced takes note of n bytes of the content that have gone through a pipe.
func (f *framed) spliced(n int) {
	if f != nil {
		f.left -= int64(n)
	}
}

// take returns how many of b's bytes belong to the content.
func (f *framed) take(b []byte) (n int, err error) {
	switch f.kind {
	case httpparse.BodyLength:
		n = int(min(int64(len(b)), f.left))
		f.left -= int64(n)
	case httpparse.BodyChunked:
		for n < len(b) && !f.chunks.Done() {
			m, _, err := f.chunks.Next(b[n:])
			if err != nil {
				return n, err
			}
			n += m
		}
	case httpparse.BodyUntilClose:
		n = len(b)
	}
	return n, nil
}

// collect is take, with the content's data put into out.
func (f *framed) collect(b []byte, out *buffer) (n int, err error) {
	if f.kind != httpparse.BodyChunked {
		n, err = f.take(b)
		out.append(b[:n])
		return n, err
	}
	for n < len(b) && !f.chunks.Done() {
		m, data, err := f.chunks.Next(b[n:])
		if err != nil {
			return n, err
		}
		out.append(data)
		n += m
	}
	return n, nil
}
