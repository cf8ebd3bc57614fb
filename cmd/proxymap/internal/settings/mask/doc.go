// Package mask takes credentials out of what a message shows: a value of the settings may be a provider's line or URL that
// stands in the wrong place.
//
// It may import nothing but the standard library, and never reads or writes anything.
package mask
