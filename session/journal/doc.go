// Package journal keeps what must survive a restart, a crash or a power cut: the sessions of a relay's ports, in one file.
// Open makes a Store, which a relay loads from, notes its changes in, and asks to confirm them. FORMAT.md describes the file.
//
// It may import session and what is under it, and flock for the lock that keeps two relays out of one file. It never
// imports relay, and is never on the way of a request: what it is told on an event loop is written by a goroutine of its own.
package journal
