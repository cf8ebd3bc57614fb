package session

import (
	"net/netip"
	"time"
)

// An Event is a change of a port's session, as those hear it who keep sessions or show what becomes of them.
type Event struct {
	Port   netip.AddrPort
	Change Change // Old went, New came
	Reason string // traffic, new, reset, expired, idle, requests, or the signal that was heard
	At     time.Time
}

// Reasons of changes that a slot knows of itself.
const (
	ReasonTraffic = "traffic" // a request, or a look at the session, needed one
	ReasonNew     = "new"     // it was replaced by a call
	ReasonReset   = "reset"   // it was removed by a call
	ReasonExpired = "expired" // its time has come
)

// ReasonRepinned is that of an Event whose port is pinned to another server. Its session, and so the Change, is the same.
const ReasonRepinned = "repinned"
