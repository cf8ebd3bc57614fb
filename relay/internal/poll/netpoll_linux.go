//go:build linux && netpoll

package poll

import "github.com/panjf2000/gnet/v2/pkg/netpoll"

func eventsOf(ev netpoll.IOEvent, _ netpoll.IOFlags) Events { return epollEvents(ev) }

func unlisten(p *netpoll.Poller, fd int) error { return p.Delete(fd) }
