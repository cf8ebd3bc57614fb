// Package session knows who a local port is at this moment: the session behind it, the credentials that carry its id to
// the provider, which clients may use it, and the answers of the Session API.
//
// It does no I/O and reads no clock. Time comes in as nanoseconds since the Unix epoch, randomness for ids from
// math/rand/v2, regular expressions from the caller.
//
// A Plan says how the sessions of a mapping are made; it is shared by the slots of all its ports. A Slot is one port: it
// holds one Session at a time, which never changes, so that the hot path is one load and one compare.
// A Template says how a provider wants ids and lifetimes in the credentials; a Provider is a preset of one.
// A Client is what a client connection brought: it may name parameters of the upstream user name, or be passed on.
package session
