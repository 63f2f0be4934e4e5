package process

// logStderr keeps the tail of the standard error, and logs its lines.
func (p *Process) logStderr() {
	lines := newLineLogger(p.log)
	p.stderr.keep = func(text []byte) {
		p.tail.write(text)
		lines.write(text)
	}
	p.stderr.end = lines.flush
}
