package pool

// A call that may have crashed a worker is repeated alone: nothing else runs on its worker meanwhile, so that the next crash, if there is one, can
// be nobody else's, and costs nobody else anything.
//
// Those who want that wait in a line of their own, before all others. Each worker that becomes empty goes to the first of them. For each that has
// to wait one worker is held back from newcomers, the one with the fewest calls, so that it does become empty however many callers there are. The
// other workers serve everybody else meanwhile.

// hold says whether a worker is kept from those who do not want it alone.
type hold uint8

const (
	holdNone     hold = iota // it is not
	holdEmptying             // it is, until its calls have ended; then somebody gets it alone
	holdAlone                // somebody has it alone, until it is empty again
)

// enterAlone is enter for a call that is to have its worker alone. It counts as a repeated one.
func (p *Pool) enterAlone() (*worker, *waiter, error) {
	var fx effects
	p.mu.Lock()
	w, waiting, err := p.joinAlone(&fx)
	starts := p.mayStart()
	p.mu.Unlock()
	fx.run()
	if starts {
		p.replan()
	}
	return w, waiting, err
}

// joinAlone is join for such a call.
func (p *Pool) joinAlone(fx *effects) (*worker, *waiter, error) {
	p.asleep = false
	if err := p.refusal(true); err != nil {
		return nil, nil, err
	}
	if w := p.emptiest(holdEmptying); w != nil && w.inFlight == 0 {
		p.occupyAlone(w)
		return w, nil, nil
	}
	waiting := p.queue.joinAlone()
	if waiting == nil {
		p.wanted = true
		return nil, nil, p.queueFull()
	}
	waiting.since = p.now()
	p.arrange(fx)
	return nil, waiting, nil
}

// arrange gives empty workers to those who want one alone, and holds one back for each that has to wait; locked. It is called after every change
// of the workers or of that line while anybody stands in it, and when the line has become shorter.
func (p *Pool) arrange(fx *effects) {
	for p.queue.alone.first != nil {
		w := p.emptiest(holdEmptying)
		if w == nil || w.inFlight > 0 {
			break
		}
		p.occupyAlone(w)
		served := p.queue.alone.first
		p.queue.remove(served)
		served.worker = w
		fx.add(served.verdict().execute)
	}
	p.holdBack(fx)
}

// holdBack holds as many workers as there are waiters in the line, if there are so many, and gives back the others.
func (p *Pool) holdBack(fx *effects) {
	needed := p.queue.alone.length
	for _, s := range p.slots {
		w := s.worker
		switch {
		case w == nil || !w.open || w.hold != holdEmptying || w.isLost(): // its owner withdraws one that is lost
		case needed == 0 || !w.mayBeAlone():
			w.hold = holdNone
			p.offer(w, fx)
		default:
			needed--
		}
	}
	for ; needed > 0; needed-- {
		w := p.emptiest(holdNone)
		if w == nil {
			return
		}
		w.hold = holdEmptying
		p.ready.remove(w)
	}
}

// emptiest returns the worker with the fewest calls, of those that a call can have alone sooner or later and that are held no more than that; nil if
// there is none.
func (p *Pool) emptiest(most hold) (least *worker) {
	for _, s := range p.slots {
		if w := s.worker; w != nil && w.open && w.hold <= most && w.mayBeAlone() && (least == nil || w.inFlight < least.inFlight) {
			least = w
		}
	}
	return least
}

// mayBeAlone says that the worker becomes empty if nobody comes. The end of a lease is its holder's to decide, who may be waiting for us.
func (w *worker) mayBeAlone() bool { return len(w.leases) == 0 && !w.isLost() }

// occupyAlone gives a worker without calls to one call alone.
func (p *Pool) occupyAlone(w *worker) {
	w.inFlight++
	w.hold = holdAlone
	p.ready.remove(w)
}

// freedHeld is what freed does for a worker that is held, or while somebody wants one alone; locked. A call that has had its worker alone is the
// last to leave it.
func (p *Pool) freedHeld(w *worker, fx *effects) {
	if w.hold == holdAlone && w.inFlight == 0 {
		w.hold = holdNone
	}
	p.arrange(fx)
	if w.hold == holdNone {
		p.offer(w, fx)
	}
}

// offer gives the free places of a worker to those who wait, or lists them.
func (p *Pool) offer(w *worker, fx *effects) {
	for waiting := p.next(w); waiting != nil; waiting = p.next(w) {
		fx.add(waiting.verdict().execute)
	}
	p.ready.put(w)
	if w.inFlight == 0 {
		p.becameIdle(w)
	}
}
