package httpparse

import "bytes"

// Options are what Connection and Proxy-Connection say (RFC 9110 section 7.6.1), as far as the relay acts upon it.
type Options uint8

// The connection options.
const (
	OptionClose Options = 1 << iota
	OptionKeepAlive
	OptionUpgrade
	OptionProxyClose     // of Proxy-Connection, which only requests may carry
	OptionProxyKeepAlive // likewise
)

// head is what requests and responses share.
type head struct {
	// Fields are the field lines in their order. Parse appends to Fields[:0], so a caller that once gives an array of
	// as many as the limit is never allocated for.
	Fields  []Field
	Names   *Names // that fields are told apart by beside HTTP/1's own; the caller's, nil: none
	End     int    // offset just behind the head's empty line
	Minor   uint8
	Options Options

	Odd     Oddities // what of them has been taken
	takes   Oddities // what may be
	length  int64    // Content-Length, -1 if absent
	bad     *Error   // what is wrong with it, if it is no number
	chunked bool     // the last transfer coding is chunked
	coded   bool     // there is another transfer coding
	upgrade bool
	expect  bool
}

// find notes an oddity, or returns what the head is refused with.
func (h *head) find(o Oddity) error { return h.Odd.find(o, h.takes) }

// fields parses the field lines, at most most of them, from pos to the empty line, which it takes too.
func (h *head) fields(buf []byte, pos, most int) error {
	h.Fields = h.Fields[:0]
	h.Options, h.length, h.bad, h.chunked, h.coded, h.upgrade, h.expect = 0, -1, nil, false, false, false, false
	for lines := 0; ; lines++ {
		end, next, err := h.line(buf, pos)
		if err != nil {
			return err
		}
		if end == pos {
			h.End = next
			break
		}
		if lines >= most {
			return errTooManyFields
		}
		f, err := h.fieldLine(buf, pos, end, next)
		if err != nil {
			return err
		}
		if h.takes.Has(OddFold) {
			n, err := h.folds(buf, &f, most-lines-1)
			if err != nil {
				return err
			}
			lines += n
		}
		if pos = int(f.End); f.Name.Len() == 0 {
			continue
		}
		if f.Kind == KindOther {
			f.Kind = h.Names.kindOf(f.Name.In(buf))
		} else if err := h.take(f.Kind, f.Value.In(buf)); err != nil {
			return err
		}
		h.Fields = append(h.Fields, f)
	}
	return h.framing()
}

// framing looks at how the fields that frame the content go together.
func (h *head) framing() error {
	if !h.chunked && !h.coded {
		return nil
	}
	if h.length >= 0 || h.bad != nil {
		h.bad = nil
		if err := h.find(OddLengthChunked); err != nil {
			return err // RFC 9112 section 6.3 point 3: a smuggling attempt
		}
	}
	if h.Minor == 0 {
		return h.find(OddChunked10)
	}
	return nil
}

// take notes what a field says about framing and persistence.
func (h *head) take(k Kind, value []byte) error {
	switch k {
	case KindContentLength:
		return h.takeLength(value)
	case KindTransferEncoding:
		return h.takeCodings(value)
	case KindUpgrade:
		h.upgrade = true
	case KindExpect:
		h.expect = EqualFold(value, "100-continue")
	case KindConnection:
		return h.options(value, OptionClose, OptionKeepAlive, OptionUpgrade)
	case KindProxyConnection:
		return h.options(value, OptionProxyClose, OptionProxyKeepAlive, 0)
	}
	return nil
}

// takeLength notes a Content-Length. One that is no number frames nothing, which is for Body to say: not all content is
// framed by it.
func (h *head) takeLength(value []byte) error {
	if h.length >= 0 || h.bad != nil {
		if err := h.find(OddLengthRepeated); err != nil {
			return err
		}
	}
	for rest, more := value, true; more; {
		var member []byte
		if member, rest, more = cut(rest); more {
			if err := h.find(OddLengthList); err != nil {
				return err
			}
		}
		n, ok := decimal(trim(member), 18)
		switch {
		case !ok:
			h.bad = errLengthValue
		case h.length >= 0 && n != h.length:
			h.bad = errLengthsDiffer
		}
		if h.bad != nil {
			return h.find(OddLength)
		}
		h.length = n
	}
	return nil
}

// takeCodings notes the transfer codings that a Transfer-Encoding adds to those before it. A response is framed by the
// last of them (RFC 9112 section 6.3 point 4); where chunked is another than the last, some go by it all the same.
func (h *head) takeCodings(value []byte) (err error) {
	for rest, more := value, true; more && err == nil; {
		var coding []byte
		coding, rest, more = cut(rest)
		switch coding = trim(coding); {
		case EqualFold(coding, "chunked"):
			if h.chunked {
				err = h.find(OddChunkedTwice)
			}
			h.chunked = true
		case len(coding) == 0 || EqualFold(coding, "identity"):
			err = h.find(OddIdentity)
		default:
			if err = h.find(OddCoding); h.chunked && err == nil {
				err = h.find(OddChunkedUnder)
			}
			h.chunked, h.coded = false, true
		}
	}
	return err
}

// cut returns the first member of a comma-separated list, what stands behind its comma, and whether there is one.
func cut(list []byte) (member, rest []byte, more bool) {
	if i := bytes.IndexByte(list, ','); i >= 0 {
		return list[:i], list[i+1:], true
	}
	return list, nil, false
}

// options reads a list of connection options, and notes the three by the bits given for them.
func (h *head) options(list []byte, closing, keepAlive, upgrade Options) (err error) {
	for len(list) > 0 && err == nil {
		var option []byte
		option, list, _ = cut(list)
		option = trim(option)
		switch len(option) {
		case 4:
			if EqualFold(option, "host") {
				err = h.find(OddOption)
			}
		case 5:
			if EqualFold(option, "close") {
				h.Options |= closing
			}
		case 7:
			if EqualFold(option, "upgrade") {
				h.Options |= upgrade
			}
		case 10:
			if EqualFold(option, "keep-alive") {
				h.Options |= keepAlive
			}
		case 14, 17:
			if EqualFold(option, "content-length") || EqualFold(option, "transfer-encoding") {
				err = h.find(OddOption)
			}
		}
	}
	return err
}

// HasUpgrade reports whether the head has an Upgrade field that Connection names too (RFC 9110 section 7.8).
func (h *head) HasUpgrade() bool { return h.upgrade && h.Options&OptionUpgrade != 0 }

// decimal reads a number of at most most digits, leading zeros included; nothing else may be there.
func decimal(b []byte, most int) (n int64, ok bool) {
	if len(b) == 0 || len(b) > most {
		return 0, false
	}
	for _, c := range b {
		if classes[c]&classDigit == 0 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// version parses an HTTP-version of 1.0 or 1.1 (RFC 9112 section 2.3). fault is the error for what is none at all.
func version(b []byte, fault *Error) (minor uint8, err error) {
	if len(b) != 8 || string(b[:5]) != "HTTP/" || classes[b[5]]&classDigit == 0 || b[6] != '.' || classes[b[7]]&classDigit == 0 {
		return 0, fault
	}
	if b[5] != '1' || b[7] > '1' {
		return 0, errVersion
	}
	return b[7] - '0', nil
}
