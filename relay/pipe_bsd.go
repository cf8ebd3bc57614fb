//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package relay

// There is no splice(2) here: no pipe is ever opened, and all is copied.

func openPipe() *pipe { return nil }

func closePipe(*pipe) {}

func (s *socket) splice(*pipe, int64) (int, error) { panic("relay: no splice on this system") }

func (p *pipe) read([]byte) (int, error) { panic("relay: no splice on this system") }

func (p *pipe) out(int) (int, error) { panic("relay: no splice on this system") }
