package rpc

// callList is a list of waiting calls, oldest first. The links are in the calls, so that joining and leaving allocate nothing.
type callList struct{ first, last *call }

func (l *callList) push(c *call) {
	c.prev, c.next, c.listed = l.last, nil, true
	if l.last == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
}

// remove takes c out and reports whether it was in.
func (l *callList) remove(c *call) bool {
	if !c.listed {
		return false
	}
	if c.prev == nil {
		l.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		l.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.prev, c.next, c.listed = nil, nil, false
	return true
}
