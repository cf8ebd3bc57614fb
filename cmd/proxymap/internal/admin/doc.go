// Package admin is the admin HTTP server of a relay: sessions of many ports, events, what a reload would change, statistics, metrics, health, and the
// OpenAPI description of these. It is ordinary net/http, off the loops, and asks the relay for what the loops have counted.
//
// It may import relay, session and what is under them, and the Prometheus client. A loop never waits for it: what the loops
// tell it goes into queues that drop what does not fit, and say so. It never reads settings, and never opens a connection.
package admin
