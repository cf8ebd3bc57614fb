package httpparse

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// A reading is what the two readers make of the same field lines: a request is refused, a response is put right, passed on,
// or refused too.
type reading struct {
	name     string
	start    string // of the response, if it is not that of a plain 200
	fields   string // behind the start line and, in a request, Host
	request  error
	response error
	odd      []Oddity
	out      string // the response's field lines as they go out; its own start line but where start has another for it
	body     Body   // of the response to a GET
}

const crlf = "\r\n"

var untilClose, chunkedBody = Body{Kind: BodyUntilClose}, Body{Kind: BodyChunked}

func lengthOf(n int64) Body { return Body{Kind: BodyLength, Length: n} }

// readings is the table of requests and responses beside each other.
var readings = []reading{
	// RFC 9112 section 5.1: a server must refuse it, a proxy must remove it from a response.
	{name: "space before the colon", fields: "A : b\r\n\r\n", request: errSpaceColon, odd: []Oddity{OddSpaceColon}, out: "A: b\r\n\r\n", body: untilClose},
	{name: "tabs and spaces before the colon", fields: "A \t :b \r\n\r\n", request: errSpaceColon, odd: []Oddity{OddSpaceColon}, out: "A: b\r\n\r\n", body: untilClose},
	{name: "space before a length's colon", fields: "Content-Length : 5\r\n\r\n", request: errSpaceColon,
		odd: []Oddity{OddSpaceColon, OddFramingField}, out: "Content-Length: 5\r\n\r\n", body: lengthOf(5)},
	{name: "space before an encoding's colon", fields: "transfer-encoding\t: chunked\r\n\r\n", request: errSpaceColon,
		odd: []Oddity{OddSpaceColon, OddFramingField}, out: "transfer-encoding: chunked\r\n\r\n", body: chunkedBody},
	{name: "space before Connection's colon", fields: "Connection : close\r\n\r\n", request: errSpaceColon, odd: []Oddity{OddSpaceColon}, out: "Connection: close\r\n\r\n", body: untilClose},
	// Lines that are none.
	{name: "no colon", fields: "A\r\nB: c\r\n\r\n", request: errNoColon, odd: []Oddity{OddNoColon}, out: "B: c\r\n\r\n", body: untilClose},
	{name: "space for the colon", fields: "Content-Length 5\r\nB: c\r\n\r\n", request: errSpaceColon, odd: []Oddity{OddNoColon}, out: "B: c\r\n\r\n", body: untilClose},
	{name: "HTML for a line", fields: "B: c\r\n<html>\r\n\r\n", request: errFieldName, odd: []Oddity{OddNoColon}, out: "B: c\r\n\r\n", body: untilClose},
	{name: "no colon, and folded", fields: "A\r\n b: c\r\nB: c\r\n\r\n", request: errNoColon, odd: []Oddity{OddNoColon, OddFold}, out: "B: c\r\n\r\n", body: untilClose},
	{name: "empty name", fields: ": b\r\nB: c\r\n\r\n", request: errFieldName, odd: []Oddity{OddNoName}, out: "B: c\r\n\r\n", body: untilClose},
	{name: "colon alone", fields: ":\r\n\r\n", request: errFieldName, odd: []Oddity{OddNoName}, out: "\r\n", body: untilClose},
	{name: "last field without a colon", fields: "B: c\r\nA\r\n\r\n", request: errNoColon, odd: []Oddity{OddNoColon}, out: "B: c\r\n\r\n", body: untilClose},
	// Names.
	{name: "space in a name", fields: "A b: c\r\n\r\n", request: errSpaceColon, odd: []Oddity{OddName}, out: "A b: c\r\n\r\n", body: untilClose},
	{name: "space in a name and before the colon", fields: "A b : c\r\n\r\n", request: errSpaceColon, odd: []Oddity{OddName, OddSpaceColon}, out: "A b: c\r\n\r\n", body: untilClose},
	{name: "delimiters in a name", fields: "A(b): c\r\n\r\n", request: errFieldName, odd: []Oddity{OddName}, out: "A(b): c\r\n\r\n", body: untilClose},
	{name: "obs-text in a name", fields: "\xff\xa0A: b\r\n\r\n", request: errFieldName, odd: []Oddity{OddName}, out: "\xff\xa0A: b\r\n\r\n", body: untilClose},
	{name: "a length to those who cut off a no-break space", fields: "Content-Length\xa0: 5\r\n\r\n", request: errFieldName,
		odd: []Oddity{OddName, OddFramingField}, out: "Content-Length\xa0: 5\r\n\r\n", body: untilClose},
	{name: "an encoding behind a quote", fields: "\"Transfer-Encoding: chunked\r\n\r\n", request: errFieldName,
		odd: []Oddity{OddName, OddFramingField}, out: "\"Transfer-Encoding: chunked\r\n\r\n", body: untilClose},
	// RFC 9110 section 5.5: a proxy may pass them on, but for NUL, CR and LF.
	{name: "control characters in a value", fields: "A: b\x01\x1b[31m\x7fc\r\n\r\n", request: errControl, odd: []Oddity{OddControl}, out: "A: b\x01\x1b[31m\x7fc\r\n\r\n", body: untilClose},
	{name: "control character in a name", fields: "A\x02: b\r\n\r\n", request: errControl, odd: []Oddity{OddName, OddControl}, out: "A\x02: b\r\n\r\n", body: untilClose},
	{name: "vertical tab before chunked", fields: "Transfer-Encoding: \vchunked\r\n\r\n", request: errControl,
		odd: []Oddity{OddControl, OddCoding}, out: "Transfer-Encoding: \vchunked\r\n\r\n", body: untilClose},
	{name: "form feed before a length", fields: "Content-Length: \f5\r\n\r\n", request: errControl, response: errLengthValue},
	{name: "NUL in a value", fields: "A: b\x00c\r\n\r\n", request: errControl, response: errControl},
	{name: "NUL in a name", fields: "A\x00: c\r\n\r\n", request: errControl, response: errControl},
	{name: "NUL behind a control character", fields: "A: \x01b\x00c\r\n\r\n", request: errControl, response: errControl},
	{name: "NUL in a line that would be dropped", fields: "A\x00\r\n\r\n", request: errControl, response: errControl},
	{name: "NUL in a folded line", fields: "A: b\r\n \x00c\r\n\r\n", request: errFold, response: errControl},
	{name: "CR in a value", fields: "A: b\rc: d\r\n\r\n", request: errBareCR, response: errBareCR},
	{name: "CR in a name", fields: "A\rb: c\r\n\r\n", request: errBareCR, response: errBareCR},
	{name: "CR behind a colon", fields: "A:\rTransfer-Encoding: chunked\r\n\r\n", request: errBareCR, response: errBareCR},
	{name: "two CRs behind a value", fields: "A: b\r\r\n\r\n", request: errBareCR, response: errBareCR},
	{name: "two CRs as the empty line", fields: "A: b\r\n\r\r\n", request: errBareCR, response: errBareCR},
	{name: "CR in a folded line", fields: "A: b\r\n \rc\r\n\r\n", request: errFold, response: errBareCR},
	// RFC 9112 section 5.2: a server must refuse or replace it, a proxy must replace it in a response.
	{name: "folded line", fields: "A: b\r\n c\r\nB: d\r\n\r\n", request: errFold, odd: []Oddity{OddFold}, out: "A: b c\r\nB: d\r\n\r\n", body: untilClose},
	{name: "folded twice", fields: "A: b \t\r\n\t\t c \r\n d\r\n\r\n", request: errFold, odd: []Oddity{OddFold}, out: "A: b c d\r\n\r\n", body: untilClose},
	{name: "folded behind the colon", fields: "A:\r\n b\r\n\r\n", request: errFold, odd: []Oddity{OddFold}, out: "A: b\r\n\r\n", body: untilClose},
	{name: "folded, and nothing behind it", fields: "A: b\r\n \r\n\t\r\n\r\n", request: errFold, odd: []Oddity{OddFold}, out: "A: b\r\n\r\n", body: untilClose},
	{name: "nothing but folds", fields: "A:\r\n \r\n \r\n\r\n", request: errFold, odd: []Oddity{OddFold}, out: "A: \r\n\r\n", body: untilClose},
	{name: "folded with nothing between", fields: "A: b\r\n \r\n c\r\n\r\n", request: errFold, odd: []Oddity{OddFold}, out: "A: b c\r\n\r\n", body: untilClose},
	{name: "folded first line", fields: " A: b\r\nB: c\r\n\r\n", request: errFold, odd: []Oddity{OddFold}, out: "B: c\r\n\r\n", body: untilClose},
	{name: "folded first lines", fields: " A: b\r\n\tC: d\r\nB: c\r\n\r\n", request: errFold, odd: []Oddity{OddFold}, out: "B: c\r\n\r\n", body: untilClose},
	{name: "folded first line that could be a length", fields: " Content-Length: 5\r\nB: c\r\n\r\n", request: errFold, odd: []Oddity{OddFold, OddFramingField}, out: "B: c\r\n\r\n", body: untilClose},
	{name: "folded first lines, the last could be an encoding", fields: " A: b\r\n\t transfer-encoding : chunked\r\nContent-Length: 5\r\n\r\n", request: errFold,
		odd: []Oddity{OddFold, OddFramingField}, out: "Content-Length: 5\r\n\r\n", body: lengthOf(5)},
	{name: "no colon, and folded to what could be a length", fields: "A\r\n Content-Length: 6\r\nContent-Length: 5\r\n\r\n", request: errNoColon,
		odd: []Oddity{OddNoColon, OddFold, OddFramingField}, out: "Content-Length: 5\r\n\r\n", body: lengthOf(5)},
	{name: "folded within a coding", fields: "Transfer-Encoding: chun\r\n ked\r\n\r\n", request: errEncoding,
		odd: []Oddity{OddFold, OddFramingField, OddCoding}, out: "Transfer-Encoding: chun ked\r\n\r\n", body: untilClose},
	{name: "folded codings, chunked twice", fields: "Transfer-Encoding: gzip,\r\n chunked,\r\n\tchunked\r\n\r\n", request: errEncoding,
		odd: []Oddity{OddFold, OddFramingField, OddCoding, OddChunkedTwice}, out: "Transfer-Encoding: gzip, chunked\r\n\r\n", body: chunkedBody},
	{name: "folded within a length", fields: "Content-Length: 1\r\n 0\r\n\r\n", request: errFold, response: errLengthValue},
	{name: "folded length", fields: "Content-Length:\r\n 5\r\n\r\n", request: errLengthValue, odd: []Oddity{OddFold, OddFramingField}, out: "Content-Length: 5\r\n\r\n", body: lengthOf(5)},
	{name: "folded list of lengths", fields: "Content-Length: 5,\r\n 5\r\n\r\n", request: errLengthValue, odd: []Oddity{OddFold, OddFramingField, OddLengthList}, out: "Content-Length: 5\r\n\r\n", body: lengthOf(5)},
	{name: "folded encoding", fields: "Transfer-Encoding: chunked\r\n abc\r\n\r\n", request: errFold,
		odd: []Oddity{OddFold, OddFramingField, OddCoding}, out: "Transfer-Encoding: chunked abc\r\n\r\n", body: untilClose},
	{name: "folded Connection", fields: "Connection: a,\r\n close\r\n\r\n", request: errFold, odd: []Oddity{OddFold}, out: "Connection: a, close\r\n\r\n", body: untilClose},
	// RFC 9112 section 2.2: may be taken for a line end.
	{name: "LF behind a field line", fields: "A: b\nB: c\r\n\r\n", request: errBareLF, odd: []Oddity{OddLineEnd}, out: "A: b\r\nB: c\r\n\r\n", body: untilClose},
	{name: "LF as the empty line", fields: "A: b\r\n\n", request: errBareLF, odd: []Oddity{OddLineEnd}, out: "A: b\r\n\r\n", body: untilClose},
	{name: "LF everywhere", fields: "A: b\nB:\nContent-Length: 5\n\n", request: errBareLF, odd: []Oddity{OddLineEnd}, out: "A: b\r\nB:\r\nContent-Length: 5\r\n\r\n", body: lengthOf(5)},
	{name: "LF behind a fold", fields: "A: b\n c\n\n", request: errBareLF, odd: []Oddity{OddLineEnd, OddFold}, out: "A: b c\r\n\r\n", body: untilClose},
	{name: "LF behind the start line", start: "HTTP/1.1 200 OK\n", fields: "A: b\r\n\r\n", request: errBareLF, odd: []Oddity{OddLineEnd}, out: "HTTP/1.1 200 OK\r\nA: b\r\n\r\n", body: untilClose},
	{name: "LF and no field", start: "HTTP/1.1 200\n", fields: "\n", request: errBareLF, odd: []Oddity{OddLineEnd}, out: "HTTP/1.1 200\r\n\r\n", body: untilClose},
	// RFC 9112 section 6.3, points 4 and 5, RFC 9110 section 8.6.
	{name: "two equal lengths", fields: "Content-Length: 5\r\nA: b\r\ncontent-length: 05\r\n\r\n", request: errLengthRepeated, odd: []Oddity{OddLengthRepeated}, out: "Content-Length: 5\r\nA: b\r\n\r\n", body: lengthOf(5)},
	{name: "list of equal lengths", fields: "Content-Length: 5 ,\t5,5\r\n\r\n", request: errLengthValue, odd: []Oddity{OddLengthList}, out: "Content-Length: 5\r\n\r\n", body: lengthOf(5)},
	{name: "lists of equal lengths", fields: "Content-Length: 5, 5\r\nContent-Length: 5,5\r\n\r\n", request: errLengthValue, odd: []Oddity{OddLengthRepeated, OddLengthList}, out: "Content-Length: 5\r\n\r\n", body: lengthOf(5)},
	{name: "lengths of 0", fields: "Content-Length: 0\r\nContent-Length: 00\r\n\r\n", request: errLengthRepeated, odd: []Oddity{OddLengthRepeated}, out: "Content-Length: 0\r\n\r\n"},
	{name: "two lengths that differ", fields: "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", request: errLengthRepeated, response: errLengthsDiffer},
	{name: "list of lengths that differ", fields: "Content-Length: 5, 6\r\n\r\n", request: errLengthValue, response: errLengthsDiffer},
	{name: "empty length", fields: "Content-Length:\r\n\r\n", request: errLengthValue, response: errLengthValue},
	{name: "empty member of a list of lengths", fields: "Content-Length: 5,\r\n\r\n", request: errLengthValue, response: errLengthValue},
	{name: "length with a plus", fields: "Content-Length: +5\r\n\r\n", request: errLengthValue, response: errLengthValue},
	{name: "length with a minus", fields: "Content-Length: -5\r\n\r\n", request: errLengthValue, response: errLengthValue},
	{name: "hexadecimal length", fields: "Content-Length: 0x5\r\n\r\n", request: errLengthValue, response: errLengthValue},
	{name: "length of 19 digits", fields: "Content-Length: 9223372036854775807\r\n\r\n", request: errLengthValue, response: errLengthValue},
	{name: "length behind one that is none", fields: "Content-Length: x\r\nContent-Length: 5\r\n\r\n", request: errLengthValue, response: errLengthValue},
	{name: "length before one that is none", fields: "Content-Length: 5\r\nContent-Length:\r\n\r\n", request: errLengthRepeated, response: errLengthValue},
	{name: "length beside chunked", fields: "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n", request: errLengthChunked, odd: []Oddity{OddLengthChunked}, out: "Transfer-Encoding: chunked\r\nA: b\r\n\r\n", body: chunkedBody},
	{name: "chunked beside lengths that differ", fields: "Transfer-Encoding: chunked\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", request: errLengthRepeated,
		odd: []Oddity{OddLengthRepeated, OddLength, OddLengthChunked}, out: "Transfer-Encoding: chunked\r\n\r\n", body: chunkedBody},
	{name: "chunked twice", fields: "Transfer-Encoding: chunked\r\nA: b\r\nTransfer-Encoding: Chunked\r\n\r\n", request: errEncoding, odd: []Oddity{OddChunkedTwice}, out: "Transfer-Encoding: chunked\r\nA: b\r\n\r\n", body: chunkedBody},
	{name: "chunked twice beside a length that is none", fields: "Transfer-Encoding: chunked, chunked\r\nContent-Length: x\r\n\r\n", request: errEncoding,
		odd: []Oddity{OddChunkedTwice, OddLength, OddLengthChunked}, out: "Transfer-Encoding: chunked\r\n\r\n", body: chunkedBody},
	{name: "chunked twice in a list", fields: "Transfer-Encoding: chunked, chunked\r\n\r\n", request: errEncoding, odd: []Oddity{OddChunkedTwice}, out: "Transfer-Encoding: chunked\r\n\r\n", body: chunkedBody},
	{name: "identity", fields: "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\n", request: errEncoding, odd: []Oddity{OddIdentity}, out: "Content-Length: 5\r\n\r\n", body: lengthOf(5)},
	{name: "identity alone", fields: "Transfer-Encoding: Identity\r\nA: b\r\n\r\n", request: errEncoding, odd: []Oddity{OddIdentity}, out: "A: b\r\n\r\n", body: untilClose},
	{name: "identity and chunked", fields: "Transfer-Encoding: identity, chunked\r\n\r\n", request: errEncoding, odd: []Oddity{OddIdentity}, out: "Transfer-Encoding: chunked\r\n\r\n", body: chunkedBody},
	{name: "empty encoding", fields: "Transfer-Encoding:\r\nContent-Length: 5\r\n\r\n", request: errEncoding, odd: []Oddity{OddIdentity}, out: "Content-Length: 5\r\n\r\n", body: lengthOf(5)},
	{name: "gzip and chunked", fields: "Transfer-Encoding: gzip, chunked\r\n\r\n", request: errEncoding, odd: []Oddity{OddCoding}, out: "Transfer-Encoding: gzip, chunked\r\n\r\n", body: chunkedBody},
	{name: "gzip and chunked twice", fields: "Transfer-Encoding: gzip, chunked, chunked\r\n\r\n", request: errEncoding, odd: []Oddity{OddCoding, OddChunkedTwice}, out: "Transfer-Encoding: gzip, chunked\r\n\r\n", body: chunkedBody},
	{name: "gzip and chunked twice, on lines", fields: "transfer-encoding: gzip\r\nA: b\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\nTransfer-Encoding: Chunked ,\r\n\r\n", request: errEncoding,
		odd: []Oddity{OddCoding, OddChunkedTwice, OddIdentity, OddLengthChunked}, out: "Transfer-Encoding: gzip, chunked\r\nA: b\r\n\r\n", body: chunkedBody},
	{name: "identity, gzip and chunked", fields: "Transfer-Encoding: identity, gzip\r\nTransfer-Encoding: chunked\r\n\r\n", request: errEncoding, odd: []Oddity{OddIdentity, OddCoding}, out: "Transfer-Encoding: gzip, chunked\r\n\r\n", body: chunkedBody},
	{name: "gzip and identity", fields: "Transfer-Encoding: gzip, identity\r\n\r\n", request: errEncoding, odd: []Oddity{OddIdentity, OddCoding}, out: "Transfer-Encoding: gzip\r\n\r\n", body: untilClose},
	{name: "chunked, gzip and chunked", fields: "Transfer-Encoding: chunked, gzip, chunked\r\n\r\n", request: errEncoding, odd: []Oddity{OddCoding, OddChunkedUnder}, out: "Transfer-Encoding: chunked, gzip, chunked\r\n\r\n", body: chunkedBody},
	{name: "chunked, gzip and chunked twice", fields: "Transfer-Encoding: chunked, gzip\r\nTransfer-Encoding: chunked, identity, chunked\r\n\r\n", request: errEncoding,
		odd: []Oddity{OddCoding, OddChunkedUnder, OddChunkedTwice, OddIdentity}, out: "Transfer-Encoding: chunked, gzip, chunked\r\n\r\n", body: chunkedBody},
	{name: "chunked and gzip", fields: "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n", request: errEncoding, odd: []Oddity{OddCoding, OddChunkedUnder}, out: "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n", body: untilClose},
	{name: "an encoding that nobody knows", fields: "Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\n", request: errEncoding, odd: []Oddity{OddCoding, OddLengthChunked}, out: "Transfer-Encoding: xchunked\r\n\r\n", body: untilClose},
	{name: "quoted chunked", fields: "Transfer-Encoding: \"chunked\"\r\n\r\n", request: errEncoding, odd: []Oddity{OddCoding}, out: "Transfer-Encoding: \"chunked\"\r\n\r\n", body: untilClose},
	{name: "chunked in HTTP/1.0", start: "HTTP/1.0 200 OK\r\n", fields: "Transfer-Encoding: chunked\r\n\r\n", odd: []Oddity{OddChunked10}, out: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", body: chunkedBody, request: errEncoding10},
	{name: "gzip in HTTP/1.0", start: "HTTP/1.0 200 OK\r\n", fields: "Transfer-Encoding: gzip\r\n\r\n", odd: []Oddity{OddCoding, OddChunked10}, out: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", body: untilClose, request: errEncoding},
	{name: "chunked and a length in HTTP/1.0", start: "HTTP/1.0 200 OK\r\n", fields: "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", odd: []Oddity{OddLengthChunked, OddChunked10},
		out: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", body: chunkedBody, request: errLengthChunked},
	// RFC 9110 sections 8.6 and 15, RFC 9112 section 6.1: what has no content frames none. In a request these fields are good.
	{name: "204 with a length", start: "HTTP/1.1 204 No Content\r\n", fields: "Content-Length: 5\r\nA: b\r\n\r\n", odd: []Oddity{OddContent}, out: "HTTP/1.1 204 No Content\r\nA: b\r\n\r\n"},
	{name: "204 with chunked", start: "HTTP/1.1 204 No Content\r\n", fields: "Transfer-Encoding: chunked\r\nTrailer: A\r\n\r\n", odd: []Oddity{OddContent}, out: "HTTP/1.1 204 No Content\r\n\r\n"},
	{name: "204 with a length that is none", start: "HTTP/1.1 204 No Content\r\n", fields: "Content-Length: x\r\n\r\n", request: errLengthValue, odd: []Oddity{OddLength, OddContent}, out: "HTTP/1.1 204 No Content\r\n\r\n"},
	{name: "204 of HTTP/1.0 with chunked", start: "HTTP/1.0 204 No Content\r\n", fields: "Transfer-Encoding: chunked\r\n\r\n", request: errEncoding10, odd: []Oddity{OddChunked10, OddContent}, out: "HTTP/1.0 204 No Content\r\n\r\n"},
	{name: "100 with a length", start: "HTTP/1.1 100 Continue\r\n", fields: "Content-Length: 5\r\n\r\n", odd: []Oddity{OddContent}, out: "HTTP/1.1 100 Continue\r\n\r\n"},
	{name: "101 with chunked", start: "HTTP/1.1 101 Switching\r\n", fields: "Transfer-Encoding: chunked\r\nUpgrade: a\r\n\r\n", odd: []Oddity{OddContent}, out: "HTTP/1.1 101 Switching\r\nUpgrade: a\r\n\r\n"},
	{name: "304 with a length that is none", start: "HTTP/1.1 304 Not Modified\r\n", fields: "Content-Length: x\r\n\r\n", request: errLengthValue, odd: []Oddity{OddLength}, out: "HTTP/1.1 304 Not Modified\r\nContent-Length: x\r\n\r\n"},
	{name: "304 with both framings", start: "HTTP/1.1 304 Not Modified\r\n", fields: "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", request: errLengthChunked,
		odd: []Oddity{OddLengthChunked}, out: "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"},
	// RFC 9110 section 7.6.1.
	{name: "Connection names a length", fields: "Connection: content-length\r\nContent-Length: 5\r\n\r\n", request: errOptionFraming, odd: []Oddity{OddOption}, out: "Connection: content-length\r\nContent-Length: 5\r\n\r\n", body: lengthOf(5)},
}

func (r *reading) head() string {
	if r.start == "" {
		return "HTTP/1.1 200 OK\r\n" + r.fields
	}
	return r.start + r.fields
}

// asRequest is a request with the same fields.
func (r *reading) asRequest() string {
	version, end := "HTTP/1.1", crlf
	if strings.HasPrefix(r.start, "HTTP/1.0") {
		version = "HTTP/1.0"
	}
	if r.start != "" && !strings.HasSuffix(r.start, crlf) {
		end = "\n"
	}
	return "GET / " + version + end + "Host: a" + end + r.fields
}

func TestReadings(t *testing.T) {
	for _, row := range readings {
		t.Run(row.name, func(t *testing.T) {
			request := row.asRequest()
			if strings.HasPrefix(row.fields, " ") {
				request = strings.Replace(request, "Host: a\r\n", "", 1)
			}
			if err := parseWhole([]byte(request), testLimits); err != row.request {
				t.Errorf("request: got %v; want %v", err, row.request)
			}
			head := []byte(row.head())
			r := newResponse()
			err := r.Parse(append(head, "behind"...), testLimits)
			if err != nil {
				if err != row.response {
					t.Errorf("response: got %v; want %v", err, row.response)
				}
				return
			}
			body, err := r.Body(MethodGet)
			if want := row.response; err != want {
				t.Fatalf("response: got %v; want %v", err, want)
			}
			if err != nil {
				return
			}
			var want Oddities
			for _, o := range row.odd {
				want = want.With(o)
			}
			if r.Odd != want {
				t.Errorf("odd is %v; want %v", slices.Collect(r.Odd.All()), row.odd)
			}
			if body != row.body {
				t.Errorf("the content is %+v; want %+v", body, row.body)
			}
			if r.End != len(head) {
				t.Errorf("it ends at %d; want %d", r.End, len(head))
			}
			goesOut(t, r, head, row.out)
		})
	}
}

// goesOut checks what a head goes out as: without its own start line, where want has none. What goes out is good.
func goesOut(t *testing.T, r *Response, head []byte, want string) {
	t.Helper()
	if !strings.HasPrefix(want, "HTTP/") {
		want = string(head[:r.LineEnd]) + want
	}
	out, ok := r.Append(nil, head, Rewrite{})
	if !ok || string(out) != want {
		t.Errorf("it goes out as %q; want %q", out, want)
	}
	if passes := r.Passes(Rewrite{}); passes != bytes.Equal(out, head) {
		t.Errorf("it passes as it came: %v; it goes out as %q", passes, out)
	}
	again := newResponse()
	if err := again.Parse(out, testLimits); err != nil || !again.Passes(Rewrite{}) {
		t.Errorf("%q is odd again: %v, %v", out, slices.Collect(again.Odd.All()), err)
	}
}

// Each oddity has a kind of its own, and a row that shows it, in which a reader that takes nothing refuses it.
func TestEveryOddityHasARow(t *testing.T) {
	kinds := map[string]bool{}
	for o := range NumOddities {
		if o.String() == "" || kinds[o.String()] {
			t.Errorf("oddity %d: kind %q is empty, or another's too", o, o)
		}
		kinds[o.String()] = true
		shown := slices.ContainsFunc(readings, func(r reading) bool { return slices.Contains(r.odd, o) && r.response == nil })
		for _, r := range chunkReadings {
			shown = shown || slices.Contains(r.odd, o) && r.response == nil && r.request != nil
		}
		if !shown {
			t.Errorf("%s: no row has it", o)
		}
		if o >= OddChunkSpace {
			continue // in which state of a body it is refused with what, chunkReadings have
		}
		refused := slices.ContainsFunc(readings, func(r reading) bool {
			return slices.Contains(r.odd, o) && (r.request == oddities[o].fault || o == OddFramingField || o == OddContent)
		})
		if !refused {
			t.Errorf("%s: no row has a request refused with %v", o, oddities[o].fault)
		}
	}
}

// A head that is not odd goes out as it came, with no call to make it.
func TestGoodResponsesPass(t *testing.T) {
	for _, head := range goodResponses {
		r := newResponse()
		if err := r.Parse([]byte(head), testLimits); err != nil || r.Odd != 0 || !r.Passes(Rewrite{}) {
			t.Errorf("%q: odd in %v, %v", head, slices.Collect(r.Odd.All()), err)
		}
		if out, _ := r.Append(nil, []byte(head), Rewrite{}); string(out) != head {
			t.Errorf("%q: goes out as %q", head, out)
		}
	}
}

// RFC 9112 section 2.2: the lines of a CONNECT may end with LF alone, and go upstream with CRLF; everything else of it is
// read as strictly as of any request.
func TestConnectWithLF(t *testing.T) {
	for _, row := range []struct {
		name, in, out string
		err           error
	}{
		{"all", "CONNECT a:1 HTTP/1.1\nHost: a:1\nA:  b \n\n", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nA:  b \r\n\r\n", nil},
		{"the request line", "CONNECT a:1 HTTP/1.1\nHost: a:1\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", nil},
		{"a field line", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", nil},
		{"the empty line", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\n", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", nil},
		{"behind empty lines", "\r\n\r\nCONNECT a:1 HTTP/1.1\nHost: a:1\n\n", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", nil},
		{"no Host, and a length of 0", "CONNECT a:1 HTTP/1.1\nContent-Length: 0\nA: b\n\n", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nA: b\r\n\r\n", nil},
		{"HTTP/1.0", "CONNECT a:1 HTTP/1.0\n\n", "CONNECT a:1 HTTP/1.0\r\n\r\n", nil},
		{"empty lines before it", "\nCONNECT a:1 HTTP/1.1\nHost: a:1\n\n", "", errBareLF},
		{"lower case", "connect a:1 HTTP/1.1\nHost: a:1\n\n", "", errBareLF},
		{"fold", "CONNECT a:1 HTTP/1.1\nHost: a:1\n b\n\n", "", errFold},
		{"space before the colon", "CONNECT a:1 HTTP/1.1\nHost : a:1\n\n", "", errSpaceColon},
		{"control character", "CONNECT a:1 HTTP/1.1\nHost: a:1\nA: \x01\n\n", "", errControl},
		{"CR", "CONNECT a:1 HTTP/1.1\nHost: a:1\nA: \rb\n\n", "", errBareCR},
		{"two Hosts", "CONNECT a:1 HTTP/1.1\nHost: a:1\nHost: a:1\n\n", "", errHostRepeated},
		{"no colon", "CONNECT a:1 HTTP/1.1\nHost\n\n", "", errNoColon},
		{"chunked", "CONNECT a:1 HTTP/1.1\nHost: a:1\nTransfer-Encoding: chunked\n\n", "", errConnectBody},
	} {
		t.Run(row.name, func(t *testing.T) {
			in, r := []byte(row.in), newRequest()
			err := r.Parse(append(in, "\n\nbehind"...), testLimits)
			if err != row.err {
				t.Fatalf("got %v; want %v", err, row.err)
			}
			for n := 1; n <= len(in); n++ {
				if got := progress(in, n); got != err && (err == nil || got != nil) {
					t.Errorf("in pieces of %d: got %v; want %v", n, got, err)
				}
			}
			if err != nil {
				return
			}
			if r.End != len(in) || r.Odd != Oddities(0).With(OddLineEnd) {
				t.Errorf("it ends at %d, odd in %v; want %d", r.End, slices.Collect(r.Odd.All()), len(in))
			}
			out, _ := r.AppendPlain(nil, in, nil)
			if string(out) != row.out {
				t.Errorf("goes upstream as %q; want %q", out, row.out)
			}
			if err := r.Parse(out, testLimits); err != nil || !r.IsPlain() {
				t.Errorf("%q: odd in %v, %v", out, slices.Collect(r.Odd.All()), err)
			}
		})
	}
}

// However an odd head comes, it is the same one; and each of its beginnings is no more than that.
func TestOddResponsesResume(t *testing.T) {
	for _, row := range readings {
		b := []byte(row.head())
		want, got := newResponse(), newResponse()
		if want.Parse(b, testLimits) != nil {
			continue
		}
		for cuts := range cuttings(len(b), 1) {
			used, err := resumed(b, cuts, func(_ bool, b []byte) error { return got.Parse(b, testLimits) })
			if err != nil || used != len(b) || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s, cut at %v: got %+v after %d bytes, %v; want %+v after %d", row.name, cuts, got, used, err, want, len(b))
			}
		}
	}
}

// Folded and dropped lines are lines: nobody keeps a reader busy with them.
func TestOddLinesAreCounted(t *testing.T) {
	for _, line := range []string{" \r\n", "A\r\n", ":\r\n", " b\n", "A : b\r\n"} {
		for n, want := range map[int]error{MaxFields: nil, MaxFields + 1: errTooManyFields} {
			head := "HTTP/1.1 200 OK\r\nA: b\r\n" + strings.Repeat(line, n-1) + crlf
			if err := newResponse().Parse([]byte(head), testLimits); err != want {
				t.Errorf("%d lines of %q: got %v; want %v", n, line, err, want)
			}
		}
	}
}

// Neither reading an odd head nor putting it right allocates where there is room.
func TestOddResponsesDoNotAllocate(t *testing.T) {
	r, dst := newResponse(), make([]byte, 0, 1<<10)
	for _, row := range readings {
		head := []byte(row.head())
		if n := testing.AllocsPerRun(10, func() {
			if r.Parse(head, testLimits) == nil {
				_, _ = r.Append(dst, head, Rewrite{Connection: "close"})
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", row.name, n)
		}
	}
}
