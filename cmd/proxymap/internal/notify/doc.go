// Package notify tells the service manager that has started the process how it stands, as sd_notify(3) of systemd says:
// ready, reloading, stopping, what it is doing, and that it is alive. Without a service manager it does nothing.
//
//	n := notify.Open(log)              // takes NOTIFY_SOCKET and WATCHDOG_… out of the environment
//	n.Ready()                          // the ports listen
//	go n.Watchdog(ctx, relay.AwaitTurns)
//	go n.Status(ctx, load)
//	n.Reloading()                      // before settings are read anew, and
//	n.Ready()                          // when they are in force, or have been refused
//	n.Stopping()                       // before the grace begins
//
// It may import go-systemd, of which it has the words of the protocol and the watchdog's variables. It never imports relay:
// what it tells of one comes as arguments. It never blocks for longer than sendTime, and listens nowhere.
package notify
