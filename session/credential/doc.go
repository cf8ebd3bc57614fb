// Package credential makes what goes upstream in the name of a session: user name, password, and the field line
// Proxy-Authorization that holds both.
//
// An Account is what the settings say of a user name: its Parameters, or a Template of how the provider wants ids and
// lifetimes in it; a Provider is a preset of one. Compile checks the accounts of a mapping and of its servers once, and
// returns Accounts, which draw session ids and render credentials from then on.
//
// The package is pure: it does no I/O, reads no clock and logs nothing. It may import the standard
// library and session/credential/pattern, which draws what is random; it never
// imports session, relay or what speaks to a socket, and it names no keys of a settings file.
package credential
