// Package provider is a stub of an upstream proxy provider: what proxymap relays to in tests, in the demo and in
// benchmarks.
//
// It is an HTTP proxy with Basic authentication that reads the session id out of the user name, forwards CONNECT and
// plain requests to real origins, remembers who came with which session, and answers http://ip.demo/ itself with the
// exit address of the session. It is honest and simple rather than fast: one goroutine for each connection.
//
// It may import the standard library only, and never the relay: it stands for somebody else's program. The demo of
// cmd/proxymap is the one user outside of bench and tests.
package provider
