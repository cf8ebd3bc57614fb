// Package reload is what a running process keeps to read its settings again: their sources, as they were at the start, and
// digests of what it runs with. It says what a reload would change, and changes nothing.
//
// It may import settings, what compares two of them, the check of the machine's limits, and session/wire, whose form the
// answer has. It never opens sockets, and knows nothing of a relay that runs: what it reads, it reads in a goroutine of its
// own, so that a file system which hangs keeps nobody but those who ask.
package reload
