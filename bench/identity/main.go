//go:build linux

package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"github.com/alecthomas/kong"
)

type options struct {
	Time     time.Duration `help:"How long it runs." default:"20s"`
	Requests int64         `help:"How many requests it makes, however long that takes; 0: --time counts." default:"0"`
	Ports    int           `help:"Ports of each mapping." default:"2"`
	Seed     uint64        `help:"Of what clients choose; 0: one is drawn, and printed." default:"0"`
	Kill     bool          `help:"Kill the relay every few seconds, and start it again with its state file."`
	Sabotage string        `help:"Tell the model something wrong, which must be reported: swap (two ports' sessions), forget (a rotation), close (a rotation that keeps connections is taken for one that closes them)." enum:",swap,forget,close" default:""`

	tree string // folder of the program's files; empty: this one
	calm bool   // the load is calm all the time
}

func main() {
	var o options
	kong.Parse(&o, kong.Name("identity"), kong.Description("Look whether each port's session is the one that the Session API shows."), kong.UsageOnError())
	if err := o.run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "identity:", err)
		os.Exit(1)
	}
}

func (o *options) run(w io.Writer) error {
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	r, err := newRun(o)
	if err != nil {
		return err
	}
	defer r.clock.end()
	defer r.bed.close()
	if err := r.begin(); err != nil {
		return err
	}
	took, err := r.load()
	r.settle()
	r.bed.process.Stop()
	if log := r.bed.process.Log(); log != "" {
		fmt.Fprintf(w, "proxymap has logged:\n%.2000s", log)
	}
	return r.report(w, took, err)
}
