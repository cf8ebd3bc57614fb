package httpparse

import "iter"

// An Oddity is a deviation from HTTP/1 that has one plain meaning all the same. A strict reader refuses it; one that takes
// it reads on, and notes it.
type Oddity uint8

// The oddities. oddities has what there is to know of each.
const (
	OddLineEnd        Oddity = iota // a line of a head ends with LF alone
	OddSpaceColon                   // white space between a field name and its colon
	OddNoColon                      // a line without a colon: it is dropped
	OddNoName                       // a field line without a name: it is dropped
	OddName                         // a field name that holds what is not allowed in one
	OddControl                      // a control character but NUL, CR and LF
	OddFold                         // a field line that is folded over several lines
	OddFramingField                 // one of the last five about a field that framing depends on
	OddOption                       // Connection names a field that is not hop-by-hop
	OddLengthRepeated               // Content-Length several times
	OddLengthList                   // Content-Length as a list
	OddLength                       // a Content-Length that is no number where nothing depends on it
	OddLengthChunked                // Content-Length beside a transfer coding
	OddCoding                       // another transfer coding than chunked
	OddIdentity                     // a transfer coding that is none
	OddChunkedTwice                 // chunked upon chunked
	OddChunkedUnder                 // another transfer coding upon chunked
	OddChunked10                    // a transfer coding in HTTP/1.0
	OddContent                      // content framed by a response that has none: 1xx and 204
	OddChunkSpace                   // white space behind a chunk size
	OddChunkLF                      // a line of a chunked body's framing, or its data, ends with LF alone
	OddChunkExtension               // a chunk extension does
	OddTrailer                      // a trailer line that is no field line, or of a field that must not be one
	NumOddities
)

// oddities is the table of what is put right or passed on rather than refused. Where a cell is empty the message is refused.
var oddities = [NumOddities]struct {
	kind   string // in counters and log lines
	fault  *Error // what a message is refused with by a reader that does not take it
	takers takers
	mends  bool // a head that has it goes on otherwise than it came
	doubts bool // another reader could find the message's end elsewhere
}{
	//                   kind                    fault              taken by       mends  doubts
	OddLineEnd:        {"bare-lf", errBareLF, byResponses | byConnect, true, false},    // RFC 9112 section 2.2
	OddSpaceColon:     {"space-before-colon", errSpaceColon, byResponses, true, false}, // RFC 9112 section 5.1: a proxy must remove it
	OddNoColon:        {"no-colon", errNoColon, byResponses, true, false},
	OddNoName:         {"no-name", errFieldName, byResponses, true, false},
	OddName:           {"field-name", errFieldName, byResponses, false, false},
	OddControl:        {"control-character", errControl, byResponses, false, false}, // RFC 9110 section 5.5
	OddFold:           {"folded-line", errFold, byResponses, true, false},           // RFC 9112 section 5.2: a proxy must replace it
	OddFramingField:   {"framing-field", errFieldName, byResponses, false, true},
	OddOption:         {"framing-option", errOptionFraming, byResponses, false, true},
	OddLengthRepeated: {"repeated-length", errLengthRepeated, byResponses, true, false}, // RFC 9112 section 6.3 point 5
	OddLengthList:     {"length-list", errLengthValue, byResponses, true, false},        // likewise
	OddLength:         {"length", errLengthValue, byResponses, false, true},
	OddLengthChunked:  {"length-and-coding", errLengthChunked, byResponses, true, true}, // RFC 9112 section 6.3 point 3
	OddCoding:         {"transfer-coding", errEncoding, byResponses, false, false},      // RFC 9112 section 6.3 point 4
	OddIdentity:       {"identity", errEncoding, byResponses, true, false},              // RFC 2616 section 3.6 had it
	OddChunkedTwice:   {"chunked-twice", errEncoding, byResponses, true, false},         // RFC 9112 section 6.1: must not be
	OddChunkedUnder:   {"chunked-not-last", errEncoding, byResponses, false, true},      // likewise; section 6.3 point 4
	OddChunked10:      {"coding-in-http-1.0", errEncoding10, byResponses, true, true},   // RFC 9112 section 6.1: faulty framing
	OddContent:        {"content-of-none", errContent, byResponses, true, true},         // RFC 9110 section 8.6, RFC 9112 section 6.1
	OddChunkSpace:     {"space-behind-chunk-size", errChunkSize, byResponses, false, false},
	OddChunkLF:        {"bare-lf-in-chunks", errChunkSize, byResponses, false, false},
	OddChunkExtension: {"bare-lf-in-extension", errChunkExtension, byResponses, false, true}, // some go on to the next CRLF
	OddTrailer:        {"trailer", errTrailer, byResponses, false, true},                     // RFC 9110 section 6.5.1
}

// takers are who takes an oddity.
type takers uint8

const (
	byResponses takers = 1 << iota // readers of responses
	byConnect                      // readers of CONNECT requests, which have no content: where their heads end is all there is
)

// String is the oddity's kind, for counters and log lines.
func (o Oddity) String() string { return oddities[o].kind }

// Oddities is a set of them.
type Oddities uint32

// With returns the set with o.
func (s Oddities) With(o Oddity) Oddities { return s | 1<<o }

// Has reports whether o is in the set.
func (s Oddities) Has(o Oddity) bool { return s>>o&1 != 0 }

// All are the oddities in the set.
func (s Oddities) All() iter.Seq[Oddity] {
	return func(yield func(Oddity) bool) {
		for o := range NumOddities {
			if s.Has(o) && !yield(o) {
				return
			}
		}
	}
}

// InDoubt reports whether one of them makes it doubtful where the message ends: its connections are not to be used again.
func (s Oddities) InDoubt() bool { return s&doubtful != 0 }

// The columns of the table, as sets.
var (
	ofResponses = column(func(o Oddity) bool { return oddities[o].takers&byResponses != 0 })
	ofConnect   = column(func(o Oddity) bool { return oddities[o].takers&byConnect != 0 })
	mended      = column(func(o Oddity) bool { return oddities[o].mends })
	doubtful    = column(func(o Oddity) bool { return oddities[o].doubts })
)

func column(of func(o Oddity) bool) (set Oddities) {
	for o := range NumOddities {
		if of(o) {
			set = set.With(o)
		}
	}
	return set
}

// find notes an oddity for a reader that takes those of a set, or returns what the message is refused with.
func (s *Oddities) find(o Oddity, takes Oddities) error {
	if !takes.Has(o) {
		return oddities[o].fault
	}
	*s = s.With(o)
	return nil
}
