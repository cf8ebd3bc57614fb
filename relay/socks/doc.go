// Package socks reads and writes SOCKS messages, the side of a server that clients speak to (message.go) and the side of a
// client that speaks to an upstream server (dial.go): version 5 (RFC 1928) with user name and password (RFC 1929), version
// 4 (Ying-Da Lee, "SOCKS: A protocol for TCP proxy across firewall") and its extension to names (the same, "SOCKS 4A: A
// Simple Extension to SOCKS 4 Protocol").
//
// What parses takes what has come so far and returns how many bytes the message has, 0 if it is not complete yet, or a
// *Fault. It is to be called again with the same bytes and more; bytes after the message are not looked at. Checks go in
// the order of the bytes, so a fault is the same however the message was cut.
//
// The package is pure, a peer of httpparse: bytes in, verdicts and bytes out. It imports the standard library alone. It
// never reads, writes, resolves a name or decides who may use what.
package socks
