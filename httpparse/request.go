package httpparse

import "bytes"

// A Method is a request method that the relay acts upon; all others are MethodOther.
type Method uint8

// The methods that are told apart. They are case-sensitive (RFC 9110 section 9.1).
const (
	MethodOther Method = iota
	MethodConnect
	MethodGet
	MethodHead
	MethodOptions
	MethodTrace
	MethodPost
)

func methodOf(b []byte) Method {
	switch string(b) {
	case "CONNECT":
		return MethodConnect
	case "GET":
		return MethodGet
	case "HEAD":
		return MethodHead
	case "OPTIONS":
		return MethodOptions
	case "TRACE":
		return MethodTrace
	case "POST":
		return MethodPost
	}
	return MethodOther
}

// A Request is a request head. Its zero value is ready for Parse; a Request can be used again and again.
type Request struct {
	head
	Start      int // offset of the request line: empty lines may stand before it
	Method     Method
	MethodName Span
	Target     Target
	Host       Span // value of the Host field; Start 0 if there is none
	LineEnd    int  // offset just behind the request line's CRLF: of the first field line, or of the empty line

	hostUnicode bool // the Host field's host is UTF-8 beyond ASCII
}

// Parse parses the request head at the beginning of buf. It returns ErrNeedMore if buf holds only its beginning, or an
// *Error.
func (r *Request) Parse(buf []byte, lim Limits) error {
	err := r.parse(buf, lim)
	if err == ErrNeedMore {
		if len(buf)-r.Start >= lim.Head {
			return errHeadTooLarge
		}
		return err
	}
	if err == nil && r.End-r.Start > lim.Head {
		return errHeadTooLarge
	}
	return err
}

func (r *Request) parse(buf []byte, lim Limits) error {
	pos, err := emptyLines(buf)
	r.Start = pos
	if err != nil {
		return err
	}
	r.Odd, r.takes = 0, takenOf(buf[pos:])
	end, next, err := r.line(buf, pos)
	if err == ErrNeedMore {
		return partialRequestLine(buf[pos:], lim)
	}
	if err != nil {
		return err
	}
	if err := r.requestLine(buf, pos, end, lim); err != nil {
		return err
	}
	r.LineEnd = next
	if err := r.fields(buf, r.LineEnd, lim.fields()); err != nil {
		return err
	}
	if r.Method == MethodConnect && (r.chunked || r.length > 0) {
		return errConnectBody // RFC 9110 section 9.3.6: no defined meaning, so what follows is ambiguous
	}
	return r.checkHost(buf)
}

// takenOf is what is taken of the request that b begins with. A CONNECT has no content, so its lines may end with LF alone:
// where its head ends is all there is to find, and upstream it goes with CRLF.
func takenOf(b []byte) Oddities {
	if bytes.HasPrefix(b, []byte("CONNECT ")) {
		return ofConnect
	}
	return 0
}

// emptyLines skips those before a request line (RFC 9112 section 2.2).
func emptyLines(buf []byte) (pos int, err error) {
	for n := 0; ; n++ {
		rest := buf[pos:]
		if len(rest) == 0 || len(rest) == 1 && rest[0] == '\r' {
			return pos, ErrNeedMore
		}
		if rest[0] != '\r' || rest[1] != '\n' {
			return pos, nil
		}
		if n == maxEmptyLines {
			return pos, errEmptyLines
		}
		pos += 2
	}
}

// partialRequestLine looks at the beginning of a request line, text whose end has not come: what no end could make good
// is refused. It looks at the method alone, so that doing it again for each piece costs little.
func partialRequestLine(b []byte, lim Limits) error {
	method := b[:min(len(b), maxMethod+1)]
	end := bytes.IndexByte(method, ' ')
	if end >= 0 {
		method = method[:end]
	} else if n := len(method); n > 0 && method[n-1] == '\r' {
		method = method[:n-1] // the line's end, or what will be found to be a bare CR
	}
	if end == 0 || len(method) > maxMethod || !all(method, classToken) {
		return ErrRequestLine
	}
	if end > 0 && len(b)-end > lim.Target+len("  HTTP/1.1\r") {
		return errTargetTooLong
	}
	return ErrNeedMore
}

// requestLine parses buf[pos:end].
//
//	request-line = method SP request-target SP HTTP-version
func (r *Request) requestLine(buf []byte, pos, end int, lim Limits) error {
	b := buf[pos:end]
	if err := r.text(b); err != nil {
		return err
	}
	first := bytes.IndexByte(b, ' ')
	last := bytes.LastIndexByte(b, ' ')
	if first <= 0 || last == first || first > maxMethod || !all(b[:first], classToken) {
		return ErrRequestLine
	}
	minor, err := version(b[last+1:], ErrRequestLine)
	if err != nil {
		return err
	}
	target := b[first+1 : last]
	if len(target) > lim.Target {
		return errTargetTooLong
	}
	r.Minor = minor
	r.MethodName = Span{int32(pos), int32(pos + first)}
	r.Method = methodOf(b[:first])
	return r.Target.parse(target, pos+first+1, r.Method)
}

// checkHost finds the Host field: one and not more (RFC 9112 section 3.2). That section refuses HTTP/1.1 without one. Here
// it may be missing where the target has an authority, for that decides whatever Host says (section 3.2.2).
func (r *Request) checkHost(buf []byte) error {
	r.Host, r.hostUnicode = Span{}, false
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Kind != KindHost {
			continue
		}
		if r.Host.Start != 0 {
			return errHostRepeated
		}
		r.Host = f.Value
		// An empty value is right where the target has no authority (RFC 9110 section 7.2).
		if value := f.Value.In(buf); len(value) > 0 {
			_, _, unicode, err := splitHost(value)
			switch err {
			case nil:
			case ErrHostLength:
				return err
			default:
				if bytes.IndexByte(value, '@') >= 0 {
					return ErrUserinfoOfHost
				}
				return ErrHostValue
			}
			r.hostUnicode = unicode
		}
	}
	if r.lacksHost() && r.Target.Authority.End == 0 {
		return errHostMissing
	}
	return nil
}

// lacksHost reports whether there is no Host field where there must be one.
func (r *Request) lacksHost() bool { return r.Host.Start == 0 && r.Minor == 1 }

// Body tells how the request's content is framed (RFC 9112 section 6.3).
func (r *Request) Body() Body {
	switch {
	case r.chunked:
		return Body{Kind: BodyChunked}
	case r.length > 0:
		return Body{Kind: BodyLength, Length: r.length}
	}
	return Body{}
}

// Persists reports whether the client means to use the connection again (RFC 9112 section 9.3). Proxy-Connection is
// what clients of old send to proxies in place of Connection.
func (r *Request) Persists() bool {
	if r.Options&(OptionClose|OptionProxyClose) != 0 {
		return false
	}
	return r.Minor == 1 || r.Options&(OptionKeepAlive|OptionProxyKeepAlive) != 0
}

// ExpectsContinue reports whether the client waits for a 100 before it sends the content (RFC 9110 section 10.1.1). An
// expectation in HTTP/1.0 does not count.
func (r *Request) ExpectsContinue() bool { return r.expect && r.Minor == 1 }

// Progress is how far an incomplete request head has been looked at, so that a client that sends it byte by byte costs
// linear work. The zero value is at the beginning.
type Progress struct {
	start int32 // offset of the request line: empty lines may stand before it
	line  int32 // offset of the first line that is not complete
	seen  int32 // bytes looked at
	lines int32 // complete lines but empty ones before the request line
}

// Next looks at what has been added to buf since the last call. It returns nil when the head is complete, to be parsed,
// ErrNeedMore, or an *Error as soon as a line is wrong by itself.
func (p *Progress) Next(buf []byte, lim Limits) error {
	for {
		n := bytes.IndexByte(buf[p.seen:], '\n')
		if n < 0 {
			return p.incomplete(buf, lim)
		}
		lf := int(p.seen) + n
		start := int(p.line)
		p.line, p.seen = int32(lf+1), int32(lf+1)
		in := head{takes: takenOf(buf[p.start:])}
		end, next, err := in.line(buf[:lf+1], start)
		if err != nil {
			return err
		}
		if end == start {
			if p.lines > 0 {
				return nil
			}
			if p.start = p.line; p.start > 2*maxEmptyLines {
				return errEmptyLines
			}
			continue
		}
		if err := p.check(&in, buf, Span{int32(start), int32(end)}, next, lim); err != nil {
			return err
		}
	}
}

// incomplete looks at the bytes since the last line end.
func (p *Progress) incomplete(buf []byte, lim Limits) error {
	// The byte before is looked at again: a CR is known to be bare only with its successor.
	in := head{takes: takenOf(buf[p.start:])}
	err := in.partialLine(buf[max(p.line, p.seen-1):])
	p.seen = int32(len(buf))
	if err == ErrNeedMore && p.lines == 0 {
		err = partialRequestLine(buf[p.line:], lim)
	}
	if err == ErrNeedMore && len(buf)-int(p.start) >= lim.Head {
		return errHeadTooLarge
	}
	return err
}

// check checks one complete line by itself.
func (p *Progress) check(in *head, buf []byte, line Span, next int, lim Limits) error {
	p.lines++
	if p.lines == 1 {
		var r Request
		r.takes = in.takes
		return r.requestLine(buf, int(line.Start), int(line.End), lim)
	}
	if int(p.lines)-1 > lim.fields() {
		return errTooManyFields
	}
	_, err := in.fieldLine(buf, int(line.Start), int(line.End), next)
	return err
}
