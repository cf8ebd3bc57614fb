package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"proxymap/cmd/proxymap/internal/admin"
	"proxymap/cmd/proxymap/internal/machine"
	"proxymap/cmd/proxymap/internal/notify"
	"proxymap/cmd/proxymap/internal/reload"
	"proxymap/cmd/proxymap/internal/settings"
	"proxymap/relay"
	"proxymap/session/journal"
)

// logFlushTime is how long the end of the process waits for a log that is not taken.
const logFlushTime = time.Second

// Run serves until a signal says otherwise.
func (c serveCommand) Run(s streams) error {
	how, faults := c.ServeFlags.Read(os.Environ())
	from, warnings, err := c.sources(faults)
	if err != nil {
		return err
	}
	set, err := loadFrom(from, warnings)
	if err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(how.LogLevel)); err != nil {
		return err
	}
	log, flush := newLog(s.err, level)
	defer flush()
	for _, w := range append(set.Warnings, machine.Warnings(&set.Config)...) {
		log.Warn(w)
	}
	cfg := set.Config
	cfg.Log = log
	return serve(cfg, adminOf(set, from, log), set.StateFile, how.Grace, log, nil)
}

// adminOf is the admin listener of settings that were read from those sources. Where there is none nobody can ask what a
// reload would change.
func adminOf(set *settings.Settings, from settings.Sources, log *slog.Logger) admin.Config {
	cfg := admin.Config{Address: set.Admin.Address, Token: set.Admin.Token, AllowFrom: set.Admin.AllowFrom}
	if cfg.Address.IsValid() {
		cfg.DryRun = reload.New(set, from, log).DryRun
	}
	return cfg
}

// newLog makes a logger that never blocks, for the event loops use it.
func newLog(w io.Writer, level slog.Level) (log *slog.Logger, flush func()) {
	out := newAsyncWriter(w)
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level})), func() { out.close(logFlushTime) }
}

// errHastened says that a second signal has cut the grace time short.
var errHastened = errors.New("stopped at once by a second signal")

// serve runs a relay until it is told to stop: SIGINT and SIGTERM let what is running end within grace, a second one
// leaves at once. The admin listener, if it has an address, tells of the relay until it has ended. stateFile keeps its sessions;
// without a name none does. started, if not nil, is called when the ports are open.
func serve(cfg relay.Config, listener admin.Config, stateFile string, grace time.Duration, log *slog.Logger, started func(*relay.Relay)) error {
	// A reader of our output that leaves must not end us.
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)

	manager := notify.Open(log)
	giveProcessors(&cfg)
	memory := newMemoryReturn()
	cfg.BurstEnded = memory.burstEnded
	r, end, err := listenKept(cfg, stateFile, log)
	if err != nil {
		return settings.Explain(err)
	}
	if listener.Address.IsValid() {
		listener.DryRun = memory.after(listener.DryRun)
		stop, err := admin.Start(listener, r, log)
		if err != nil {
			return errors.Join(err, r.Close(), end())
		}
		defer stop()
	}
	log.Info("listening", "ports", len(r.Ports()), "first", r.Ports()[0], "last", r.Ports()[len(r.Ports())-1],
		"missing", len(r.MissingPorts()), "descriptors", r.Budget().Descriptors, "connections", r.Budget().Connections)
	if started != nil {
		started(r)
	}
	debug.FreeOSMemory() // what reading many settings has left
	served := make(chan error, 1)
	go func() { served <- errors.Join(r.Serve(), end()) }()
	running, ended := context.WithCancel(context.Background())
	defer ended()
	tellManager(running, manager, r)
	for stopping := false; ; {
		select {
		case err := <-served:
			log.Info("stopped")
			return err
		case sig := <-signals:
			switch {
			case sig == syscall.SIGHUP:
				log.Info("SIGHUP is ignored; restart to have changed settings read")
			case stopping:
				return errHastened
			default:
				stopping = true
				log.Info("stopping", "signal", sig.String(), "grace", grace, "connections", r.Connections())
				manager.Stopping()
				r.Shutdown(grace)
			}
		}
	}
}

// tellManager tells the service manager that r serves, and until running ends how it does.
func tellManager(running context.Context, manager *notify.Notifier, r *relay.Relay) {
	manager.Ready()
	go manager.Watchdog(running, r.AwaitTurns)
	go manager.Status(running, func() notify.Load {
		listening, missing := r.CountPorts()
		return notify.Load{
			Ports: listening, Missing: missing, Connections: r.Connections(), Requests: r.Requests(), Draining: r.Draining(),
		}
	})
}

// listenKept is relay.Listen with the sessions that a file keeps; without a name there is none. end writes what has not
// been written yet, and is called when the relay has ended.
func listenKept(cfg relay.Config, file string, log *slog.Logger) (r *relay.Relay, end func() error, err error) {
	if file == "" {
		r, err = relay.Listen(cfg)
		return r, func() error { return nil }, err
	}
	store, err := journal.Open(file, log)
	if err != nil {
		return nil, nil, err
	}
	cfg.Store = store
	if r, err = relay.Listen(cfg); err != nil {
		_ = store.Close() // nothing was put into it
		return nil, nil, err
	}
	store.Loaded()
	return r, store.Close, nil
}
