//go:build linux

// Package drive puts a relay under load: it plays the clients and the provider, both, so that the only other process of
// a measurement is the relay.
//
// Each worker is one event loop on one thread that owns its share of the clients and a listener of the provider. Nothing
// is parsed but the end of a head, and nothing is allocated while the clock runs, so that the load costs about as much
// as the relay that is measured and a cheaper relay shows as more throughput.
//
// It may import the standard library and x/sys. It never imports the relay, and no package that the relay stands on: what
// it sends and expects must not rest on the code that is measured.
package drive
