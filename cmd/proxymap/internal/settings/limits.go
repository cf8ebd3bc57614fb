package settings

import (
	"cmp"
	"time"

	"proxymap/relay"
)

// maxKeepAlive is the longest time that Linux takes, which is 32,767 s, in whole hours.
const maxKeepAlive = 9 * time.Hour

// limits reads what bounds waits and buffers. What is not there keeps its default.
func (r *reader) limits(o *object) relay.Limits {
	l := relay.Limits{
		Connections: o.number("Connections", 1, 1<<20),
		HeadBytes:   o.number("HeadBytes", 1<<10, 1<<20),
		TargetBytes: o.number("TargetBytes", 1<<8, 1<<20),
		HeadFields:  o.number("HeadFields", 16, 4096),
		Head:        o.duration("HeadTime", false),
		Idle:        o.duration("IdleTime", false),
		Dial:        o.duration("DialTime", false),
		Reply:       o.duration("ReplyTime", false),
		Response:    o.duration("ResponseTime", false),
		Abandon:     o.duration("AbandonTime", true),
		TunnelIdle:  o.duration("TunnelIdleTime", true),
		HalfClosed:  o.duration("HalfClosedTime", false),
		KeepAlive:   o.duration("KeepAliveTime", true),

		ResponseHeadBytes: o.number("ResponseHeadBytes", 1<<10, 1<<20),
	}
	if d := l.KeepAlive; d > 0 && (d < time.Second || d > maxKeepAlive) {
		r.fault(o.get("KeepAliveTime"), "value %q: must be a duration of 1s to 9h, or 0 for never", o.text("KeepAliveTime"))
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
