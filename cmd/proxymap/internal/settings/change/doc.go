// Package change says what a reload has to do: which ports are added and removed, which keys differ for which ports, what
// becomes of their sessions, and which keys refuse it. Between compares two Settings, which are what settings say as
// digests: they hold no text and no credential, and are small beside what the settings were read from.
//
// The package is pure. It may import session/wire, whose form an answer has, and never relay, session or settings: these
// make Settings of what they have read.
package change
