package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
	"strconv"
	"time"

	"proxymap/session"
)

// A record is what the journal holds of a local port: its session, or, without an ID, that it has none.
type record struct {
	Port     netip.AddrPort `json:"port"`
	ID       []byte         `json:"id,omitempty"` // no string: an id that a client chose need not be UTF-8
	Minutes  string         `json:"minutes,omitempty"`
	Lifetime time.Duration  `json:"lifetime,omitempty"`
	Expires  int64          `json:"expires,omitempty"` // nanoseconds since the Unix epoch
	Params   []session.Pair `json:"params,omitempty"`
	Server   string         `json:"server,omitempty"` // host:port of the one that the port is pinned to
}

// recordOf is the record of a port with that session; nil is none.
func recordOf(port netip.AddrPort, s *session.Session, server string) record {
	if s == nil {
		return record{Port: port}
	}
	return record{
		Port: port, ID: []byte(s.ID()), Minutes: s.Minutes(), Lifetime: s.Lifetime(), Expires: s.Expires(),
		Params: s.Parameters(), Server: server,
	}
}

// session makes the record's session anew.
func (r *record) session(p *session.Plan) (*session.Session, error) {
	return p.Restore(string(r.ID), r.Minutes, r.Expires, r.Lifetime, r.Params)
}

// over reports whether nothing of the record is of use at that moment.
func (r *record) over(now int64) bool { return len(r.ID) == 0 || r.Expires <= now }

// A foreignRecord is one of a kind that this version does not know. It is kept as it came, for the newer version that has
// written it may be back.
type foreignRecord struct {
	foreignKey
	Expires int64 `json:"expires"` // nanoseconds since the Unix epoch; 0: never
	Gone    bool  `json:"gone"`    // what it is about is no more

	text []byte
}

// A foreignKey is what a record is about.
type foreignKey struct {
	Kind string `json:"kind"`
	Key  string `json:"key"`
}

// over reports whether nothing of the record is of use at that moment.
func (r *foreignRecord) over(now int64) bool { return r.Gone || r.Expires != 0 && r.Expires <= now }

// The journal's file is lines, each with its checksum: the first says what the file is, the others are records, of which
// the last one of a port counts. FORMAT.md has it all.
const (
	journalKind    = "proxymap-journal "
	journalVersion = "1"
	sessionKind    = "session" // of a record, and of one that says no kind
	maxLine        = 128 << 10 // bytes; more than the largest parameters make
	maxForeign     = 1 << 16   // records of unknown kinds that are kept
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendHeader(dst []byte) []byte { return appendLine(dst, []byte(journalKind+journalVersion)) }

// appendLine appends CRC-32C in hexadecimal, a space, text and a newline. text must not hold one.
func appendLine(dst, text []byte) []byte {
	return fmt.Appendf(dst, "%08x %s\n", crc32.Checksum(text, castagnoli), text)
}

func (r *record) appendLine(dst []byte) []byte {
	text, _ := json.Marshal(r) // strings and numbers always can be
	return appendLine(dst, text)
}

// textOf takes the checksum off a line without its newline.
func textOf(line []byte) (text []byte, ok bool) {
	const digits = 8
	if len(line) <= digits || line[digits] != ' ' {
		return nil, false
	}
	sum, err := strconv.ParseUint(string(line[:digits]), 16, 32)
	text = line[digits+1:]
	return text, err == nil && uint32(sum) == crc32.Checksum(text, castagnoli)
}

// A journalReader reads as much as can be read.
type journalReader struct {
	newest  map[netip.AddrPort]record
	foreign map[foreignKey]foreignRecord // the newest of each
	skipped int                          // records of unknown kinds that are not kept
	bad     int                          // lines that are damaged
	err     error                        // what made it stop
}

var errOtherVersion = errors.New("it was written by another version of proxymap")

// damaged reports whether the file is anything but one that was cut off at its end.
func (jr *journalReader) damaged() bool { return jr.bad > 0 || jr.err != nil }

// read goes on behind damaged lines, for a record there may be newer than one before them.
func (jr *journalReader) read(r io.Reader) {
	jr.newest, jr.foreign = make(map[netip.AddrPort]record), make(map[foreignKey]foreignRecord)
	in := bufio.NewReaderSize(r, maxLine)
	for first := true; jr.err == nil; first = false {
		line, err := in.ReadSlice('\n')
		tooLong := err == bufio.ErrBufferFull
		for err == bufio.ErrBufferFull {
			_, err = in.ReadSlice('\n')
		}
		if err != nil && err != io.EOF {
			jr.err = err
			return
		}
		switch {
		case tooLong:
			jr.bad++
		case first:
			jr.header(line)
		default:
			jr.record(line)
		}
		if err == io.EOF {
			return
		}
	}
}

// header takes the first line. A file that ends within it was cut off before anything was put into it.
func (jr *journalReader) header(line []byte) {
	text, ok := textOf(bytes.TrimSuffix(line, []byte("\n")))
	switch {
	case bytes.HasPrefix(appendHeader(nil), line) || ok && string(text) == journalKind+journalVersion:
	case ok && bytes.HasPrefix(text, []byte(journalKind)):
		jr.err = errOtherVersion
	default:
		jr.bad++
	}
}

// record takes another line. The last one may be cut off: nobody was told yet that it had been written.
func (jr *journalReader) record(line []byte) {
	line, whole := bytes.CutSuffix(line, []byte("\n"))
	text, ok := textOf(line)
	if taken := ok && jr.take(text); whole && !taken {
		jr.bad++
	}
}

// take takes the text of a record, and reports whether it is one.
func (jr *journalReader) take(text []byte) bool {
	var other foreignRecord
	if json.Unmarshal(text, &other) != nil {
		return false
	}
	if other.Kind != "" && other.Kind != sessionKind {
		jr.keep(other, text)
		return true
	}
	var r record
	if json.Unmarshal(text, &r) != nil || !r.Port.IsValid() {
		return false
	}
	jr.newest[r.Port] = r
	return true
}

// keep keeps a record of an unknown kind. One without a key is of no use to whoever comes later.
func (jr *journalReader) keep(r foreignRecord, text []byte) {
	if _, there := jr.foreign[r.foreignKey]; r.Key == "" || !there && len(jr.foreign) >= maxForeign {
		jr.skipped++
		return
	}
	r.text = bytes.Clone(text)
	jr.foreign[r.foreignKey] = r
}
