package change

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
)

// seed is the process's own, so digests say nothing of what they were made of, and are good for this process alone.
var seed = maphash.MakeSeed()

// A Digest takes values in turn, and its Sum stands for all of them in their order: two Sums of a process are equal if the
// values are, and by a chance of one in 2^63 else.
type Digest struct {
	hash  maphash.Hash
	taken bool // something
}

// Text takes a string.
func (d *Digest) Text(s string) {
	d.Number(int64(len(s))) // or a and bc would be ab and c
	_, _ = d.hash.WriteString(s)
}

// Number takes a number.
func (d *Digest) Number(n int64) {
	d.taken = true
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n))
	_, _ = d.hash.Write(b[:])
}

// Flag takes a truth value.
func (d *Digest) Flag(is bool) {
	if is {
		d.Number(1)
	} else {
		d.Number(0)
	}
}

// Sum is what stands for the values since the last Sum. Its last bit is set.
func (d *Digest) Sum() Sum {
	if !d.taken {
		return isThere // most keys of most servers
	}
	sum := Sum(d.hash.Sum64()) | isThere
	d.hash.SetSeed(seed) // which takes away what was written
	d.taken = false
	return sum
}

// NewDigest makes one that has taken nothing.
func NewDigest() *Digest {
	d := &Digest{}
	d.hash.SetSeed(seed)
	return d
}

// A Sum stands for what settings say under a key. Its last bit says that the key is there.
type Sum uint64

const isThere Sum = 1

// with is the sum of s and more, in this order. Both are spread already; what is equal in them must not cancel out.
func (s Sum) with(more Sum) Sum {
	const odd = 0x9e3779b97f4a7c15 // 2^64 over the golden ratio
	s = Sum(bits.RotateLeft64(uint64(s*odd), 32)) + more
	return (s ^ s>>29) * odd
}

// Derived is the sum of a value which follows from other keys, because its own is not there. Two such values never differ:
// the other keys do.
func (s Sum) Derived() Sum { return s &^ isThere }

// differs reports whether a key says something else than before.
func (s Sum) differs(from Sum) bool { return s|isThere != from|isThere && (s|from)&isThere != 0 }

// A hint is a part of a sum, for where many are kept.
type hint uint16

func (s Sum) hint() hint { return hint(s>>48)&^1 | hint(s&isThere) }

func (h hint) differs(from hint) bool { return h|1 != from|1 && (h|from)&1 != 0 }
