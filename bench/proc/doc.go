//go:build linux

// Package proc runs a relay as a process of its own, and looks at it from outside.
//
// It may import the standard library and x/sys, and never the relay: a relay is a program that it starts.
package proc
