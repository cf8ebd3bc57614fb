//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package kernel

// There is no splice(2) here: no pipe is ever opened, and all is copied.

const noSplice = "kernel: no splice on this system"

// OpenPipe reports false.
func OpenPipe(size, least int) (Pipe, bool) { return Pipe{}, false }

// Close is never called.
func (p *Pipe) Close() { panic(noSplice) }

// Fill is never called.
func (p *Pipe) Fill(fd int, most int64) (int, error) { panic(noSplice) }

// Drain is never called.
func (p *Pipe) Drain(fd int) (int, error) { panic(noSplice) }

// Read is never called.
func (p *Pipe) Read(b []byte) (int, error) { panic(noSplice) }
