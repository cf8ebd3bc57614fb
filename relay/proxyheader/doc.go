// Package proxyheader reads the header that a load balancer puts before a connection's bytes to say whose they are: the
// PROXY protocol, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt, sections 2.1 and 2.2).
//
// Parse takes what has come so far and returns how many bytes the header has, 0 if it is not complete yet, or an error. It
// is to be called again with the same bytes and more; bytes after the header are not looked at. Checks go in the order of
// the bytes, and a fault is the same however the header was cut. Of version 1 nothing is decoded before the line has ended, as
// the specification wants it, but what is no header at all is told at its first byte.
//
// The package is pure, a peer of httpparse: bytes in, an address out. It imports the standard library alone. It never
// reads, and never decides whose header is believed.
package proxyheader
