// Package lookup finds the addresses of names, through the system's resolver.
//
// A and AAAA are asked for apart, so that a name server that drops one of them delays nobody: what has come goes on 50 ms
// after the first usable answer (RFC 8305 section 3), and the rest joins when it comes. A name server that was silent is
// asked last for a minute. Addresses of both IP versions are given in turn (RFC 8305 section 4), beginning with the
// version that RFC 6724 prefers.
//
//	find.go         the two questions about a name, and what becomes of their answers
//	order.go        which of the addresses come first
//	nameservers.go  which name server is asked next
//	resolver.go     the shell: the system's resolver, and the sockets that it uses
//
// It imports the standard library alone. It never decides how many names are looked up at once, how long an answer is
// good, or who waits for it: that is the relay's business.
package lookup
