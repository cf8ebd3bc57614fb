// Package pattern draws strings that match a regular expression, for user names: what it draws matches ^(?:pattern)$,
// holds no colon and no control character, and has at most MaxLength bytes.
//
// Randomness comes in as a source: the same source in the same state gives the same string, on every platform.
//
// The package is pure: it does no I/O and keeps no state. It may import the standard library only; it never imports what
// uses it.
package pattern
