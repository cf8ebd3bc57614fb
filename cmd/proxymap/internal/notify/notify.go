package notify

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// socketVariable is where the service manager says where it listens.
const socketVariable = "NOTIFY_SOCKET"

// sendTime is how long a message may take. A socket takes it at once unless the service manager is far behind.
const sendTime = time.Second

// A Notifier speaks to the service manager. Its methods may be called from any goroutine. Those that send log what goes
// wrong: a message that is lost is nothing that the process could end for.
type Notifier struct {
	socket   string        // path, or @ and an abstract name; empty: there is no service manager
	watchdog time.Duration // in which it wants a ping; 0: never
	pause    time.Duration // between two looks at what the status says
	failed   atomic.Bool   // the last message was lost
	log      *slog.Logger
}

// Open reads of the environment whether a service manager wants to be told, and takes that out of it: a child that told too
// would be taken for this process. So there is one Notifier in a process.
func Open(log *slog.Logger) *Notifier {
	n := &Notifier{socket: os.Getenv(socketVariable), pause: statusPause, log: log}
	var err error
	if n.watchdog, err = daemon.SdWatchdogEnabled(true); err != nil {
		log.Warn("the watchdog gets no pings", "err", err)
	}
	if err := os.Unsetenv(socketVariable); err != nil {
		log.Warn("children will have "+socketVariable, "err", err)
	}
	return n
}

// Ready says that all has been done that others may have to wait for: at the start, and after Reloading.
func (n *Notifier) Ready() { n.send(daemon.SdNotifyReady) }

// Reloading says that the settings are read anew. Ready has to follow, whatever comes of it.
func (n *Notifier) Reloading() {
	n.send(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

// Stopping says that the process is about to end.
func (n *Notifier) Stopping() { n.send(daemon.SdNotifyStopping) }

// send sends a message, which is lines of NAME=value.
func (n *Notifier) send(message string) {
	if n.socket == "" {
		return
	}
	err := deliver(n.socket, message)
	if failed := n.failed.Swap(err != nil); err != nil && !failed {
		n.log.Warn("the service manager cannot be told; does its "+socketVariable+" listen?", "socket", n.socket, "err", err)
	}
}

// deliver opens a socket for each message: the service manager may have started anew since the last one.
func deliver(socket, message string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	_ = conn.SetWriteDeadline(time.Now().Add(sendTime)) // it fails on a closed socket only
	_, err = conn.Write([]byte(message))
	return errors.Join(err, conn.Close())
}
