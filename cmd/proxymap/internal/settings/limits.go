package settings

import (
	"cmp"

	"proxymap/relay"
)

// limits reads what bounds waits and buffers. What is not there keeps its default.
func (r *reader) limits(o *object) relay.Limits {
	l := relay.Limits{
		Connections: o.number("Connections"),
		HeadBytes:   o.number("HeadBytes"),
		TargetBytes: o.number("TargetBytes"),
		HeadFields:  o.number("HeadFields"),
		Head:        o.duration("HeadTime"),
		Idle:        o.duration("IdleTime"),
		Dial:        o.duration("DialTime"),
		Reply:       o.duration("ReplyTime"),
		Response:    o.duration("ResponseTime"),
		Abandon:     o.duration("AbandonTime"),
		TunnelIdle:  o.duration("TunnelIdleTime"),
		HalfClosed:  o.duration("HalfClosedTime"),
		KeepAlive:   o.duration("KeepAliveTime"),

		ResponseHeadBytes: o.number("ResponseHeadBytes"),
	}
	all := relay.DefaultLimits()
	if head := cmp.Or(l.HeadBytes, all.HeadBytes); cmp.Or(l.TargetBytes, all.TargetBytes) > head {
		if l.TargetBytes > 0 {
			r.fault(o.get("TargetBytes"), "value \"%d\": is more than the %d bytes of a whole head (HeadBytes)", l.TargetBytes, head)
		}
		l.TargetBytes = head
	}
	return l
}
