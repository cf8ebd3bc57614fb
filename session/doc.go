// Package session knows who a local port is at this moment: the session behind it, which clients may use it, and the
// answers of the Session API.
//
// A Plan says how the sessions of a mapping are made; it is shared by the slots of all its ports. A Slot is one port: it
// holds one Session at a time, which never changes, so that the hot path is one load and one compare.
// A Client is what a client connection brought: it may name parameters of the upstream user name, or be passed on.
//
// It does no I/O and reads no clock: time comes in as nanoseconds since the Unix epoch. It may import the standard
// library, session/credential, which renders user names and passwords, and session/wire; it never imports relay, a
// logger or what speaks to a socket, and it names no keys of a settings file.
package session
