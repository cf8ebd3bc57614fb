// Package race decides when connection attempts to the addresses of one server begin and end (RFC 8305 section 5): a
// moment after one that has not ended begins the next, the first to connect wins, and where as many as may be are silent,
// the oldest makes room.
//
// It is pure: what time it is comes in as an argument, in nanoseconds of a clock of the caller's. It imports package time
// for its constants alone. It never knows an address or a socket: the caller has them, in the order of the attempts.
package race
