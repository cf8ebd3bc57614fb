// Package kernel makes the system calls of the relay's sockets and pipes: what a descriptor is asked, and what the system
// says.
//
// Nothing here blocks, and on Linux the calls are made without telling the scheduler, so they are for goroutines that
// never wait in them: event loops. A descriptor belongs to the caller, who closes it once. Errors are the system's, an
// unix.Errno, but for io.EOF of Pipe.Fill; ErrAgain is no fault.
//
// It imports golang.org/x/sys/unix and gnet's pkg/socket beside the standard library. It never knows a connection, a
// loop or a policy: how many pipes there may be, and when to splice, is the relay's business.
package kernel
