package httpparse

import (
	"bytes"
	"iter"
	"reflect"
	"testing"
)

// cuttings yields the ways in which n bytes come: in two pieces for every place between them, and in pieces of each size.
// With a step of more than 1, only of every step-th place and size. A cutting is where the pieces end, but for the last.
func cuttings(n, step int) iter.Seq[[]int] {
	return func(yield func([]int) bool) {
		for at := 0; at < n; at += step {
			if !yield([]int{at}) {
				return
			}
		}
		for size := 1; size <= n; size += step {
			var cuts []int
			for at := size; at < n; at += size {
				cuts = append(cuts, at)
			}
			if !yield(cuts) {
				return
			}
		}
	}
}

// resumed reads b in pieces, as the relay does: each time all that has come so far, which lies elsewhere then, and into
// the same result. used is how much had come when the verdict fell.
func resumed(b []byte, cuts []int, read func(first bool, b []byte) error) (used int, err error) {
	for i := range len(cuts) + 1 {
		if used = len(b); i < len(cuts) {
			used = cuts[i]
		}
		if err = read(i == 0, bytes.Clone(b[:used])); err != ErrNeedMore {
			break
		}
	}
	return used, err
}

// A request head that is accepted is the same however it comes: the first piece is parsed, a Progress looks at what
// follows until the head is complete, and that is parsed again.
func TestRequestResumes(t *testing.T) {
	for _, row := range goodHeads {
		b := []byte(row.head)
		want, got := newRequest(), newRequest()
		if err := want.Parse(b, testLimits); err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		for cuts := range cuttings(len(b), 1) {
			var p Progress
			used, err := resumed(b, cuts, func(first bool, b []byte) error {
				if !first {
					if err := p.Next(b, testLimits); err != nil {
						return err
					}
				}
				return got.Parse(b, testLimits)
			})
			if err != nil || used != len(b) || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s, cut at %v: got %+v after %d bytes, %v; want %+v after %d", row.name, cuts, got, used, err, want, len(b))
			}
		}
	}
}

// A response head that is accepted is the same however it comes.
func TestResponseResumes(t *testing.T) {
	for _, head := range goodResponses {
		b := []byte(head)
		want, got := newResponse(), newResponse()
		if err := want.Parse(b, testLimits); err != nil {
			t.Fatalf("%q: %v", head, err)
		}
		for cuts := range cuttings(len(b), 1) {
			used, err := resumed(b, cuts, func(_ bool, b []byte) error { return got.Parse(b, testLimits) })
			if err != nil || used != len(b) || !reflect.DeepEqual(got, want) {
				t.Fatalf("%q, cut at %v: got %+v after %d bytes, %v; want %+v after %d", head, cuts, got, used, err, want, len(b))
			}
		}
	}
}

// chunkedCut feeds a body to Chunks in pieces that end at the cuts and at the body's end.
func chunkedCut(body string, cuts []int) (data string, used int, done bool, err error) {
	var c Chunks
	from := 0
	for i := 0; i <= len(cuts) && err == nil; i++ {
		end := len(body)
		if i < len(cuts) {
			end = cuts[i]
		}
		n, d, e := feed(&c, body[from:end])
		data, used, err, from = data+d, used+n, e, end
	}
	return data, used, c.Done(), err
}

// A chunked body has the same data, end and fault however it comes, good or bad. Of bodies of many KiB only some cuts
// are tried.
func TestChunksResume(t *testing.T) {
	bodies := chunkedBodies
	for _, row := range goodChunks {
		bodies = append(bodies, row.body)
	}
	for _, row := range badChunks {
		bodies = append(bodies, row.body)
	}
	for _, row := range chunkBounds {
		bodies = append(bodies, row.body)
	}
	for _, body := range bodies {
		body += "GET / HTTP/1.1\r\n" // what follows a good one
		step := 1
		if len(body) > 1<<10 {
			step = 61
		}
		data, used, done, err := chunkedCut(body, nil)
		for cuts := range cuttings(len(body), step) {
			d, u, o, e := chunkedCut(body, cuts)
			if d != data || u != used || o != done || e != err {
				t.Fatalf("%.200q, cut at %v...: got %d bytes of data, %d used, done %v, %v; want %d, %d, %v, %v",
					body, cuts[:min(len(cuts), 8)], len(d), u, o, e, len(data), used, done, err)
			}
		}
	}
}
