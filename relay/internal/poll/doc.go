// Package poll waits for the descriptors of one event loop.
//
// A Poller is one of two: on Linux an epoll of our own (epoll_linux.go), which waits without giving up its processor,
// elsewhere and with the build tag netpoll one on gnet's netpoll. Both do the same: they watch each descriptor under a
// token for its whole life on the loop, edge-triggered, and call the loop for each event, after each batch of them, and
// when its next deadline is due. Who closes a descriptor waits for the Turn after the batch: only then no event of the
// batch can meet another one that has taken its number. The generation in a token tells events that are stale all the
// same.
//
// It imports golang.org/x/sys/unix and gnet's pkg/netpoll, pkg/queue and pkg/errors beside the standard library. It never
// knows a connection, and never opens, reads or closes a descriptor but its own.
package poll
