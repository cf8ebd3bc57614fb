// Package wire is the language that the Session API and the admin listener are spoken to in, in one definition for all
// who speak it: the bodies of calls and answers, the data of events, and lists of ports. The order of members is part of it.
//
// The package is pure: text in, values out. It may import the standard library and goccy/go-json, and no other JSON
// library; it never imports session, relay or what speaks to a socket.
package wire
