// Package serverlist reads upstream proxies as providers hand them out: a server a line, in one of the usual forms. Parse
// reads a line (line.go, url.go), Lines finds the lines of a text (text.go).
//
// It imports the standard library alone, and is pure. It never tells what stands in a line: any part of one that is
// misread may be a password.
package serverlist
