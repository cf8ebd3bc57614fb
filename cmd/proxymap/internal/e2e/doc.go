// Package e2e holds the tests that run proxymap as its users do: the built program, started, signalled and killed, with
// browsers, curl and scripts for clients, thousands of ports and tunnels, and network namespaces of its own. There is
// nothing to import.
//
// Its tests know of the program what a user can see: settings files, the command line, logs, the Session API, the admin
// listener, and what the kernel tells of a process. They may import the stub provider of bench. They never import what
// they test: relay, settings or the commands, whose own tests are beside them.
//
// What takes minutes runs with PROXYMAP_LONG=1 alone, as make verify-e2e does; without it such a test runs a short form
// of itself, or says how to run it.
package e2e
