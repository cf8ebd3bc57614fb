// Package settings turns a settings file into what the relay is made of. It knows the keys, their defaults and bounds,
// where each of them stands in the file, and what to do about a fault. Load reads a file, Settings.Describe prints what
// was understood.
//
// The relay and its sessions report which field of theirs is wrong; the key and the remedy are put in here, so that they
// need not know how settings are written.
//
// It may import relay, session and what is under them, and hujson for the text. It never opens a socket: what the machine
// has is compared in internal/machine. It reads files, and writes none.
package settings
