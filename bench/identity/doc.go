//go:build linux

// Command identity looks whether each port of proxymap is who the Session API says it is. It starts the program with a
// stub provider behind it, plays clients that use the ports in all ways and others that rotate their sessions, and checks
// while that goes on that what the provider sees is what had been shown.
//
// # The model
//
// A port's session is a value that only moves on: the sessions of a port have an order, and each is the port's from one
// moment to the next one's. The admin listener's events tell the order; they give each session its number (told.go). Who
// looks at a port sees a session that was the port's at some moment between asking and seeing. A look is a request, or a
// CONNECT, that the provider has seen, and an answer of the Session API. So of two looks, one of which was asked for when
// the other had been seen, the later one cannot see an older session. That is all that concurrency leaves, and all that is
// checked of plain requests: before the first byte of anything is written, the model says what is the oldest that it may
// be seen under (Asked, a Floor), and when it is seen that is compared (Saw, Showed). An answer to a call of new or
// reset excludes more: everything that was known when it was asked for.
//
// A session may be seen before its event comes. Then the comparison waits for that (check). If none comes in time, nobody
// has shown the session.
//
// A tunnel stays with the session of its CONNECT until a rotation ends it. Behind the answer to a call that closes, no
// message is asked for that passes under an older session. Behind one that drains that is so when the time for it is over,
// and where a session ends of itself, when its event has come and the loops have had a grace to carry that out. What was
// on its way before may still come, but not for long: that is the second, later floor.
//
// Ids are held against all that there have ever been, by hashes of 8 bytes: of a million sessions, two have the same one by
// chance with a probability of 3 in 10^8. A session takes some 50 bytes, a request none.
//
// A crash may take back what no call has confirmed and what has happened in the last second (restart.go): a port then goes on
// with a session that is not older than the last confirmed one, and all others that it has had are over.
//
// Moments are those of a clock that stands still while this process does not get to run (clock.go), so that a busy
// machine is no violation.
//
// It may import proc and provider, and kong for its command line. It never imports the relay: it starts the
// program and looks at it from outside. Model and Floor do no I/O and read no clock.
package main
