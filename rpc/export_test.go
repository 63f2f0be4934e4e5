package rpc

// RunInline has the goroutine that reads run handlers from the first call on, until they turn out to be slow.
func (p *Peer) RunInline() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serving.inlining.pause = 1
}
