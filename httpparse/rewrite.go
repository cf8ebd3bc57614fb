package httpparse

import (
	"bytes"
	"strconv"
)

// A Rewrite is what becomes another in a response head on its way to the client, beside what is put right in it. The zero
// value is nothing.
type Rewrite struct {
	Unframed   bool   // without the fields that frame content: it has none, or what follows is a tunnel
	Decoded    bool   // without the fields of the chunked coding, which has been taken off
	Forwarded  bool   // as a proxy sends it to its client: without hop-by-hop fields (RFC 9110 section 7.6.1)
	Connection string // the connection option that the client is told, instead of others; empty: none of ours
}

// Passes reports whether the head goes out as it came.
func (r *Response) Passes(how Rewrite) bool {
	how.Unframed = how.Unframed && (r.chunked || r.coded || r.length >= 0 || r.bad != nil || r.Odd.Has(OddOption))
	odd := r.Odd & mended
	if !r.merges() {
		odd &^= several
	}
	return how == Rewrite{} && odd == 0
}

// Append appends the response head that buf holds, which r describes, as it goes out: put right where it is odd, and
// rewritten. Lines that need neither stay as they came. ok is false, and nothing appended, if it is to be forwarded and
// its Connection lists more than can be looked through.
func (r *Response) Append(dst, buf []byte, how Rewrite) (head []byte, ok bool) {
	if how.Forwarded && !r.canBeLookedThrough(buf) {
		return dst, false
	}
	how.Unframed = how.Unframed || r.Odd.Has(OddContent)
	dst = r.appendStatusLine(dst, buf, how)
	framed := false
	for i := range r.Fields {
		f := &r.Fields[i]
		switch {
		case r.drops(f, buf, how):
		case (f.Kind == KindContentLength || f.Kind == KindTransferEncoding) && r.merges():
			if !framed {
				dst, framed = r.appendFraming(dst, buf), true
			}
		case f.Kind == KindConnection && (how.Unframed || how.Decoded):
			dst = appendOptions(dst, buf, f)
		default:
			dst = appendField(dst, buf, f)
		}
	}
	if how.Connection != "" {
		dst = append(append(append(dst, "Connection: "...), how.Connection...), "\r\n"...)
	}
	return append(dst, "\r\n"...), true
}

// appendStatusLine appends the status line. One of HTTP/1.0, which knows no transfer coding, does not go before one (RFC 9112
// section 6.1).
func (r *Response) appendStatusLine(dst, buf []byte, how Rewrite) []byte {
	from := len(dst)
	dst = append(appendLine(dst, buf[:r.LineEnd]), "\r\n"...)
	if r.Coded() && !how.Decoded && !how.Unframed {
		dst[from+len("HTTP/1.")] = '1'
	}
	return dst
}

// drops reports whether a field does not go out.
func (r *Response) drops(f *Field, buf []byte, how Rewrite) bool {
	if how.Forwarded && !r.endToEnd(f, buf) {
		return true
	}
	switch f.Kind {
	case KindContentLength:
		return how.Unframed || r.chunked || r.coded
	case KindTransferEncoding, KindTrailer:
		return how.Unframed || how.Decoded
	case KindConnection, KindProxyConnection:
		return how.Connection != ""
	}
	return how.Connection != "" && EqualFold(f.Name.In(buf), "keep-alive")
}

// several are the oddities of fields that say one thing together.
const several Oddities = 1<<OddLengthRepeated | 1<<OddLengthList | 1<<OddIdentity | 1<<OddChunkedTwice

// merges reports whether one field takes the place of all those that frame the content. It does not where they say more
// than that one could: what they say to a response without content is passed on.
func (r *Response) merges() bool {
	return r.Odd&several != 0 && r.bad == nil
}

// appendFraming appends the one field that frames the content, if it is framed by one.
func (r *Response) appendFraming(dst, buf []byte) []byte {
	switch {
	case r.chunked, r.coded:
		return r.appendCodings(dst, buf)
	case r.length >= 0:
		return append(strconv.AppendInt(append(dst, "Content-Length: "...), r.length, 10), "\r\n"...)
	}
	return dst
}

// appendCodings appends the transfer codings of all fields as one: without those that are none, and with chunked once where
// it stands upon itself.
func (r *Response) appendCodings(dst, buf []byte) []byte {
	dst = append(dst, "Transfer-Encoding:"...)
	first, chunked := true, false
	for i := range r.Fields {
		if r.Fields[i].Kind != KindTransferEncoding {
			continue
		}
		for rest, more := r.Fields[i].Value.In(buf), true; more; {
			var coding []byte
			coding, rest, more = cut(rest)
			coding = trim(coding)
			again := EqualFold(coding, "chunked")
			if len(coding) == 0 || EqualFold(coding, "identity") || again && chunked {
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			dst = appendUnfolded(append(dst, ' '), coding)
			first, chunked = false, again
		}
	}
	return append(dst, "\r\n"...)
}

// appendOptions appends a Connection without the options that name fields which do not go out with it, if it has others.
func appendOptions(dst, buf []byte, f *Field) []byte {
	from, named, kept := len(dst), false, 0
	dst = append(dst, "Connection:"...)
	for rest, more := f.Value.In(buf), true; more; {
		var option []byte
		option, rest, more = cut(rest)
		option = trim(option)
		if namesFraming(option) {
			named = true
			continue
		}
		if kept++; kept > 1 {
			dst = append(dst, ',')
		}
		dst = appendUnfolded(append(dst, ' '), option)
	}
	switch {
	case !named:
		return appendField(dst[:from], buf, f)
	case kept == 0:
		return dst[:from]
	}
	return append(dst, "\r\n"...)
}

// namesFraming reports whether a connection option names a field of framing, or Host: no field that it may name.
func namesFraming(option []byte) bool {
	switch kindOf(option) {
	case KindContentLength, KindTransferEncoding, KindTrailer, KindHost:
		return true
	}
	return false
}

// appendField appends a field line: as it came if it is written as it should be.
func appendField(dst, buf []byte, f *Field) []byte {
	line := buf[f.Name.Start:f.End]
	if folded := bytes.IndexByte(line, '\n') < len(line)-1; folded || buf[f.Name.End] != ':' {
		dst = append(append(dst, f.Name.In(buf)...), ": "...)
		return append(appendUnfolded(dst, f.Value.In(buf)), "\r\n"...)
	}
	return append(appendLine(dst, line), "\r\n"...)
}

// appendLine appends a line without its end.
func appendLine(dst, line []byte) []byte {
	return append(dst, bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))...)
}

// appendUnfolded appends a value with a space for each fold: the line end and the white space around it (RFC 9112 section
// 5.2).
func appendUnfolded(dst, value []byte) []byte {
	for i := 0; i < len(value); i++ {
		if value[i] != '\r' && value[i] != '\n' {
			dst = append(dst, value[i])
			continue
		}
		dst = bytes.TrimRight(dst, " \t")
		for i+1 < len(value) && isFold(value[i+1]) {
			i++
		}
		dst = append(dst, ' ')
	}
	return dst
}
