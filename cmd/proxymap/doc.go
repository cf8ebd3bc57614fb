// Command proxymap listens on local ports, each of which is one sticky session of an upstream proxy provider.
//
// Exit status: 0 when all went well, a stop by signal included; 1 for a failure, such as faulty settings or a port that
// is taken, and for a stop that a second signal hastened; 2 for a faulty command line.
//
// This package is the shell: the command line, and what starts and stops a relay in a process. It may import everything
// below, and the stub provider of bench for the demo. It never holds logic that a test would want: that has packages of
// its own under internal, and walls_test.go has the table of who may import whom.
package main
