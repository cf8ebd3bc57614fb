package notify

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Watchdog pings the service manager's watchdog until ctx ends, twice in the time that it allows, and each time only if
// alive returns nil before the next ping is due. alive is asked no more often than that. Without a watchdog it returns at
// once.
func (n *Notifier) Watchdog(ctx context.Context, alive func(context.Context) error) {
	if n.socket == "" || n.watchdog <= 0 {
		return
	}
	each := n.watchdog / 2
	ticks := time.NewTicker(each)
	defer ticks.Stop()
	for ctx.Err() == nil {
		n.earnPing(ctx, alive, each)
		select {
		case <-ticks.C:
		case <-ctx.Done():
		}
	}
}

// earnPing sends a ping if alive allows it within that time.
func (n *Notifier) earnPing(ctx context.Context, alive func(context.Context) error, within time.Duration) {
	soon, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	switch err := alive(soon); {
	case err == nil:
		n.send(daemon.SdNotifyWatchdog)
	case ctx.Err() == nil:
		n.log.Error("the watchdog gets no ping; it ends the process if that goes on", "after", n.watchdog, "err", err)
	}
}
