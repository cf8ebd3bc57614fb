//go:build linux && netpoll

package relay

import "github.com/panjf2000/gnet/v2/pkg/netpoll"

func eventsOf(ev netpoll.IOEvent, _ netpoll.IOFlags) events { return epollEvents(ev) }

func unlisten(p *netpoll.Poller, fd int) error { return p.Delete(fd) }
