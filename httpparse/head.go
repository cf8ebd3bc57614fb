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

	length  int64 // Content-Length, -1 if absent
	chunked bool
	upgrade bool
	expect  bool
}

// fields parses the field lines, at most most of them, from pos to the empty line, which it takes too.
func (h *head) fields(buf []byte, pos, most int) error {
	h.Fields = h.Fields[:0]
	h.Options, h.length, h.chunked, h.upgrade, h.expect = 0, -1, false, false, false
	for {
		end, err := line(buf, pos)
		if err != nil {
			return err
		}
		if end == pos {
			h.End = pos + 2
			break
		}
		if len(h.Fields) >= most {
			return errTooManyFields
		}
		f, err := fieldLine(buf, pos, end)
		if err != nil {
			return err
		}
		if f.Kind == KindOther {
			f.Kind = h.Names.kindOf(f.Name.In(buf))
		} else if err := h.take(f.Kind, f.Value.In(buf)); err != nil {
			return err
		}
		h.Fields = append(h.Fields, f)
		pos = end + 2
	}
	if h.chunked && h.length >= 0 {
		return errLengthChunked // RFC 9112 section 6.3 point 3: a smuggling attempt
	}
	if h.chunked && h.Minor == 0 {
		return errEncoding10 // RFC 9112 section 6.1: faulty framing
	}
	return nil
}

// take notes what a field says about framing and persistence.
func (h *head) take(k Kind, value []byte) error {
	switch k {
	case KindContentLength:
		if h.length >= 0 {
			return errLengthRepeated // RFC 9112 section 6.3 point 5 lets equal ones pass; we have no need to
		}
		n, ok := decimal(value, 18)
		if !ok {
			return errLengthValue
		}
		h.length = n
	case KindTransferEncoding:
		if h.chunked || !EqualFold(value, "chunked") {
			return errEncoding // RFC 9112 section 6.1, 6.3 point 4
		}
		h.chunked = true
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

// options reads a list of connection options, and notes the three by the bits given for them.
func (h *head) options(list []byte, closing, keepAlive, upgrade Options) error {
	for len(list) > 0 {
		option := list
		if i := bytes.IndexByte(list, ','); i >= 0 {
			option, list = list[:i], list[i+1:]
		} else {
			list = nil
		}
		option = trim(option)
		switch len(option) {
		case 4:
			if EqualFold(option, "host") {
				return errOptionFraming
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
				return errOptionFraming
			}
		}
	}
	return nil
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
