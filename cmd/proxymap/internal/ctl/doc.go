// Package ctl is the commands session, health and reload: a client of the Session API and of the admin listener. Command,
// Health and Reload are their command lines; what a settings file says of the relay they are told, in a Relay.
//
// It may import session/wire, and never relay, session or settings: it knows of a relay what its answers and its caller
// say. It makes HTTP requests, and listens nowhere.
package ctl
