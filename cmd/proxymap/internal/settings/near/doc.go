// Package near finds the known name that somebody may have meant who wrote another.
//
// It may import the standard library alone, is pure, and never decides: what it returns is for a message.
package near
