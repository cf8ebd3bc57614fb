package relay

// maxServersTried is how many servers are tried for one request.
const maxServersTried = 8

// candidates are the servers that may be tried for one request: one after the other, in the order in which they
// are given out. Those in quarantine are passed over as long as there is another.
type candidates struct {
	m     *proxies
	first int   // that is to be tried first, but for quarantine
	at    int   // that is being tried; -1: the target itself
	most  int   // that are tried
	tried int   // given up
	began int64 // the loop's time
}

// newCandidates begins with a server, -1 if the target itself is dialled. No other than that is tried if only says so, or
// if it is none of those listed.
func newCandidates(m *proxies, first int, only bool, now int64) candidates {
	k := candidates{m: m, first: first, at: first, most: 1, began: now}
	if !only && first >= 0 && first < m.listed {
		k.most = min(m.listed, maxServersTried)
	}
	if k.most > 1 && now < m.servers[first].restUntil.Load() {
		if other := k.following(now, false); other >= 0 {
			k.at = other
		}
	}
	return k
}

// left is how many more servers may be tried when the current one is given up.
func (k *candidates) left() int { return k.most - k.tried - 1 }

// giveUp gives the current server up for another, and reports whether there is one.
func (k *candidates) giveUp(now int64) bool {
	if k.left() <= 0 {
		return false
	}
	k.tried++
	other := k.following(now, false)
	if other < 0 {
		other = k.following(now, true)
	}
	if other >= 0 {
		k.at = other
	}
	return other >= 0
}

// following is the next server after the current one that is not in quarantine. With resting it is the next one that is, and
// has been since before this request, because it may be back. It is -1 if there is none.
func (k *candidates) following(now int64, resting bool) int {
	m := k.m
	for i, s := 1, m.after[k.at]; i < m.listed; i, s = i+1, m.after[s] {
		rest := m.servers[s].restUntil.Load()
		if resting && rest > now && rest-int64(quarantine) < k.began || !resting && rest <= now {
			return s
		}
	}
	return -1
}

// server is the one that is being tried, nil if that is the target itself.
func (k *candidates) server() *server {
	if k.at < 0 {
		return nil
	}
	return k.m.servers[k.at]
}

// moved reports whether it is another than the one that was to be tried first.
func (k *candidates) moved() bool { return k.at != k.first }
