// Package settings turns settings into what the relay is made of. It knows where each key stands, and what to do about a
// fault; the keys, their types and defaults are the table of settings/schema. Load reads the layers (a file, the
// environment's file beside it, variables, flags), which package layer merges; Settings.Describe prints what was understood,
// and DescribeLayers which layer said so.
//
// The relay and its sessions report which field of theirs is wrong; the key and the remedy are put in here, so that they
// need not know how settings are written.
//
// It may import relay, session and what is under them, settings/change, settings/layer, settings/schema and settings/serverlist. It never opens a socket: what the machine
// has is compared in internal/machine. It reads files, and writes none.
package settings
