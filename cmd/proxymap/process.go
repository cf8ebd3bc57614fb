package main

import (
	"runtime"
	"syscall"

	"proxymap/relay"
)

// What belongs to the whole process is set here, and not by the relay, which a program may have several of.

// raiseOpenFiles has the process open as many files as it may. Go itself, when a program starts, leaves one of them out.
// Where raising fails the process has what it has.
func raiseOpenFiles() {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < limit.Max {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
}

// giveProcessors lets Go use as many processors as the relay's loops want. Setting the number by hand also keeps the
// runtime from lowering it.
func giveProcessors(cfg *relay.Config) {
	runtime.GOMAXPROCS(max(cfg.Processors(), runtime.GOMAXPROCS(0)))
}
