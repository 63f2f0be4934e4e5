package rpc

// callList is a list of calls, oldest first. A call is in one list at most; the links are in the calls, so that joining and leaving allocate nothing.
type callList struct{ first, last *call }

func (l *callList) push(c *call) {
	c.prev, c.next, c.list = l.last, nil, l
	if l.last == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
}

// remove takes c out and reports whether it was in this list.
func (l *callList) remove(c *call) bool {
	if c.list != l {
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
	c.prev, c.next, c.list = nil, nil, nil
	return true
}

// pop takes out the oldest; nil if there is none.
func (l *callList) pop() *call {
	c := l.first
	if c != nil {
		l.remove(c)
	}
	return c
}
