package relay

// timers is a loop's heap of connections by the time to look at them: at their deadlines, and once before at an upstream
// socket that gets keep-alive.
//
// A connection is in it once, and stays there from its first deadline to its end. Deadlines mostly move away as bytes
// come, so moving one later costs nothing: the entry comes up at its old time, and is put back to the new one. Only one
// that moves earlier moves its entry.
type timers struct {
	heap []timer
}

type timer struct {
	at int64 // the loop's time; not later than the connection's
	c  *conn
}

// dueAt is the loop's time at which a connection is to be looked at.
func dueAt(c *conn) int64 {
	if at := c.upstream.keepAliveAt; at != 0 {
		return min(at, c.deadline)
	}
	return c.deadline
}

// set sees to it that c comes up when it is due.
func (t *timers) set(c *conn) {
	switch at := dueAt(c); {
	case c.timer < 0:
		c.timer = int32(len(t.heap))
		t.heap = append(t.heap, timer{at, c})
		t.up(len(t.heap) - 1)
	case at < t.heap[c.timer].at:
		t.heap[c.timer].at = at
		t.up(int(c.timer))
	}
}

// remove takes c out, if it is in.
func (t *timers) remove(c *conn) {
	i := int(c.timer)
	if i < 0 {
		return
	}
	c.timer = -1
	last := len(t.heap) - 1
	moved := t.heap[last]
	t.heap[last] = timer{}
	t.heap = t.heap[:last]
	if i == last {
		return
	}
	t.place(i, moved)
	t.down(i)
	t.up(int(moved.c.timer))
}

// due returns a connection that is due, nil if there is none. It stays in.
func (t *timers) due(now int64) *conn {
	for len(t.heap) > 0 && t.heap[0].at <= now {
		c := t.heap[0].c
		at := dueAt(c)
		if at <= now {
			return c
		}
		t.heap[0].at = at
		t.down(0)
	}
	return nil
}

// next is when to look again, 0 for never.
func (t *timers) next() int64 {
	if len(t.heap) == 0 {
		return 0
	}
	return t.heap[0].at
}

func (t *timers) place(i int, e timer) {
	t.heap[i] = e
	e.c.timer = int32(i)
}

func (t *timers) up(i int) {
	e := t.heap[i]
	for i > 0 {
		parent := (i - 1) / 2
		if t.heap[parent].at <= e.at {
			break
		}
		t.place(i, t.heap[parent])
		i = parent
	}
	t.place(i, e)
}

func (t *timers) down(i int) {
	e := t.heap[i]
	for {
		child := 2*i + 1
		if child >= len(t.heap) {
			break
		}
		if child+1 < len(t.heap) && t.heap[child+1].at < t.heap[child].at {
			child++
		}
		if e.at <= t.heap[child].at {
			break
		}
		t.place(i, t.heap[child])
		i = child
	}
	t.place(i, e)
}
