// Package allow says which addresses may connect: lists of addresses and networks as settings have them (parse.go), the
// question whether an address is in one (list.go), and what has been turned away since that was last told (turned.go).
//
// It is pure: addresses in, verdicts out. It imports the standard library alone. It never accepts, closes, logs or waits:
// who has the listener does.
package allow
