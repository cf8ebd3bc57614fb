package httpparse

// A Response is a response head. Its zero value is ready for Parse; a Response can be used again and again. Odd is what a
// strict reader would refuse it for.
type Response struct {
	head
	Status  int // 100 to 999
	LineEnd int // offset just behind the status line's CRLF
}

// Parse parses the response head at the beginning of buf. It returns ErrNeedMore if buf holds only its beginning, or an
// *Error, whose status has no meaning here.
func (r *Response) Parse(buf []byte, lim Limits) error {
	err := r.parse(buf, lim)
	if err == ErrNeedMore && len(buf) >= lim.Head || err == nil && r.End > lim.Head {
		return errHeadTooLarge
	}
	return err
}

func (r *Response) parse(buf []byte, lim Limits) error {
	r.Odd, r.takes = 0, ofResponses
	end, next, err := r.line(buf, 0)
	if err != nil {
		return err
	}
	if err := r.statusLine(buf[:end]); err != nil {
		return err
	}
	r.LineEnd = next
	if err := r.fields(buf, next, lim.fields()); err != nil {
		return err
	}
	if r.contradicts() {
		return r.find(OddContent)
	}
	return nil
}

// statusLine parses the status line.
//
//	status-line = HTTP-version SP status-code SP [ reason-phrase ]
//
// The second space is forgiven where there is no reason-phrase: many servers leave it out, and nobody reads it otherwise.
func (r *Response) statusLine(b []byte) error {
	if err := r.text(b); err != nil {
		return err
	}
	if len(b) < 12 || b[8] != ' ' || len(b) > 12 && b[12] != ' ' {
		return errStatusLine
	}
	minor, err := version(b[:8], errStatusLine)
	if err != nil {
		return err
	}
	code, ok := decimal(b[9:12], 3)
	if !ok || code < 100 {
		return errStatusLine
	}
	r.Minor, r.Status = minor, int(code)
	return nil
}

// Body tells how the content of a response to a request with that method is framed (RFC 9112 section 6.3). For a 2xx
// to CONNECT it is none: what follows is the tunnel, whatever the fields say. An *Error says that it cannot be told.
func (r *Response) Body(to Method) (Body, error) {
	switch {
	case r.Status < 200, r.Status == 204, r.Status == 304, to == MethodHead,
		to == MethodConnect && r.Status < 300:
		return Body{}, nil
	case r.chunked:
		return Body{Kind: BodyChunked}, nil
	case r.coded:
		return Body{Kind: BodyUntilClose}, nil
	case r.bad != nil:
		return Body{}, r.bad
	case r.length > 0:
		return Body{Kind: BodyLength, Length: r.length}, nil
	case r.length == 0:
		return Body{}, nil
	}
	return Body{Kind: BodyUntilClose}, nil
}

// Coded reports whether there is a transfer coding: chunked, or another.
func (r *Response) Coded() bool { return r.chunked || r.coded }

// OnlyChunked reports whether chunked is the one transfer coding: taken off, nothing is left to be understood.
func (r *Response) OnlyChunked() bool { return r.chunked && !r.coded }

// contradicts reports whether the fields frame content that a response with this status cannot have: 1xx and 204 end with
// their heads (RFC 9110 section 8.6, RFC 9112 section 6.1), and a reader that goes by the fields would take what follows
// for their content. A length of 0, which some servers send, says the same as the status.
func (r *Response) contradicts() bool {
	return (r.Status < 200 || r.Status == 204) && (r.chunked || r.coded || r.bad != nil || r.length > 0)
}

// SaysKeepAlive reports whether something in the head, which buf holds, says to a client of HTTP/1.0 that its connection
// stays: a connection option, or a Keep-Alive field, which has no meaning without one and is read all the same.
func (r *Response) SaysKeepAlive(buf []byte) bool {
	if r.Options&(OptionKeepAlive|OptionProxyKeepAlive) != 0 {
		return true
	}
	for i := range r.Fields {
		if EqualFold(r.Fields[i].Name.In(buf), "keep-alive") {
			return true
		}
	}
	return false
}

// Persists reports whether the sender means to use the connection again (RFC 9112 section 9.3). Proxy-Connection has no
// say in a response.
func (r *Response) Persists() bool {
	if r.Options&OptionClose != 0 {
		return false
	}
	return r.Minor == 1 || r.Options&OptionKeepAlive != 0
}
