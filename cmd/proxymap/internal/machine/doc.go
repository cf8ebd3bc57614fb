// Package machine compares a relay's configuration with the machine that it is to run on: open files, source addresses,
// and the ports that the kernel gives to outgoing connections. It binds a socket for a moment to see whether an address
// is the machine's, and changes nothing.
//
// It may import relay, and session/wire for lists of ports. It never reads settings, though its warnings name their keys, because they are for whoever can
// change them.
package machine
