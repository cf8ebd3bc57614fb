// Package wire is the language that the Session API and the admin listener are spoken to in, in one definition for all
// who speak it.
//
// The package is pure: text in, values out. It may import the standard library and goccy/go-json; it never imports
// session, relay or what speaks to a socket.
package wire
