//go:build linux

// Command soak has proxymap work for long, under load of all kinds at once, and looks whether it stays as it was. Every
// few seconds the load pauses, so that the process can come to rest, and what it holds then is compared: its least memory with
// that of the first pauses, its descriptors with those before any load, and at the end its goroutines with those of a
// process that has not done anything.
//
// It may import drive, proc and provider, and kong for its command line. It never imports the relay: it starts the program
// and looks at it from outside.
package main
