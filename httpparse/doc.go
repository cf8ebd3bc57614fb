// Package httpparse reads HTTP/1 message heads, request-targets and chunk framing: bytes in, offsets out.
//
// A head is the start line, the field lines and the empty line behind them (RFC 9112 section 2.1). Nothing here
// allocates, copies, waits or knows of sockets. Results are offsets into the caller's buffer, so they stay valid when
// the caller moves the bytes.
//
// Requests are read strictly: what two readers could understand differently is refused, with its source in place. What is
// refused is an *Error with the status to answer. Responses are read by the same parser in one other mode, which is a
// table (odd.go): what is odd and has one plain meaning all the same is noted, and put right on its way to the client
// (rewrite.go). The one row that is for requests too is LF alone in a CONNECT.
//
// What of a request has one plain meaning, though no proxy may pass it on as it came, is taken: Request.IsPlain says so, and
// Request.AppendPlain puts it right.
//
// It may import the standard library only, and is pure: it never does I/O, allocates or reads the clock, and it knows no
// product's field names.
package httpparse

import "strconv"

// An Error says why a message is refused, and with which status a request of that kind is answered.
type Error struct {
	Status int    // of the answer: 400, 414, 431 or 505
	Reason string // lower case, no full stop; holds nothing of the message
}

func (e *Error) Error() string { return strconv.Itoa(e.Status) + ": " + e.Reason }

func malformed(reason string) *Error { return &Error{400, reason} }

// ErrNeedMore says that what is there is the beginning of a good message. It is not a fault.
var ErrNeedMore error = &Error{0, "more bytes needed"}

// Limits of a head.
type Limits struct {
	Head   int // bytes of a whole head
	Target int // bytes of a request-target
	Fields int // field lines of a head; 0 means MaxFields
}

// fields is how many field lines a head may have.
func (l Limits) fields() int {
	if l.Fields <= 0 {
		return MaxFields
	}
	return l.Fields
}

// What is bounded by constants rather than by settings, but for the first: nobody has a reason to change them.
const (
	MaxFields     = 256 // field lines of a head, unless Limits.Fields says otherwise
	maxEmptyLines = 8   // before a request line (RFC 9112 section 2.2 says at least one)
	maxMethod     = 64  // bytes of a method: the longest registered one has 17
)

var (
	errHeadTooLarge   = &Error{431, "the head is larger than the limit"}
	errTooManyFields  = &Error{431, "more field lines than the limit"}
	errTargetTooLong  = &Error{414, "the request-target is longer than the limit"}
	errBareLF         = malformed("a line ends with LF alone; lines end with CRLF")
	errBareCR         = malformed("a CR without LF behind it")
	errControl        = malformed("a control character in the head")
	errEmptyLines     = malformed("more than 8 empty lines before the request line")
	errStatusLine     = malformed("the first line is not an HTTP status line")
	errVersion        = &Error{505, "the HTTP version is neither 1.0 nor 1.1"}
	errFold           = malformed("a field line is folded over several lines")
	errFieldName      = malformed("a field name is empty or holds a character that is not allowed in one")
	errSpaceColon     = malformed("white space between a field name and its colon")
	errNoColon        = malformed("a field line without a colon")
	errLengthRepeated = malformed("Content-Length is given more than once")
	errLengthValue    = malformed("Content-Length is not a plain decimal number of at most 18 digits")
	errForwardsTwice  = malformed("Max-Forwards is given more than once")
	errForwardsValue  = malformed("Max-Forwards is not a plain decimal number")
	errLengthChunked  = malformed("both Content-Length and Transfer-Encoding are given")
	errEncoding       = malformed("Transfer-Encoding is not exactly one \"chunked\"")
	errLengthsDiffer  = malformed("Content-Length is given more than once, with different values")
	errContent        = malformed("its status has no content, and its fields frame some")
	errEncoding10     = malformed("Transfer-Encoding in an HTTP/1.0 message")
	errConnectBody    = malformed("CONNECT with a Content-Length of more than 0 or Transfer-Encoding")
	errOptionFraming  = malformed("Connection names Content-Length, Transfer-Encoding or Host, which are not hop-by-hop")
	errHostMissing    = malformed("an HTTP/1.1 request that names its host neither in its target nor in a Host field")
	errHostRepeated   = malformed("Host is given more than once")
)
