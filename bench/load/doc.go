//go:build linux

// Command load puts a relay, or any HTTP proxy, under load. It plays the clients and the provider, both: start the relay
// with its upstream at the address that -provider names, then load with the relay's ports.
//
// It may import drive, and kong for its command line. It never imports the relay.
package main
