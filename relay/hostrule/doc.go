// Package hostrule says what happens to requests for a host: the first of many rules that matches it, or the last.
//
// A Rule names a host, a pattern or neither, and what is to be done: Allow, Bypass or Deny, and perhaps another host, port
// or upstream in place of the request's. An Index finds the rule for a host in about the same time whether there are ten
// rules or a hundred thousand, and without allocating.
//
// The package is pure: rules and names in, rules out. It imports the standard library alone, opens nothing, and never
// resolves a name. What a rule's server is, and what bypassing means for a connection, is the caller's business.
package hostrule
