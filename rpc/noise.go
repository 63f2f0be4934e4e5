package rpc

import (
	"bytes"
	"fmt"

	"github.com/stdcrew/stdcrew/framing"
)

const (
	maxNoise     = 64 << 10  // bytes skipped before the hello
	maxNoiseKept = 1 << 10   // bytes of them that are shown
	maxHello     = 512 << 10 // bytes of a hello's payload: all the methods that it may hold, and the rest
)

// noise is what the worker, or something that it loads, printed before the hello.
type noise struct {
	skipped int
	kept    []byte
}

// findHello skips what comes before the hello, and answers the hello. It reports false when more bytes are needed.
func (p *Peer) findHello() (bool, error) {
	for {
		rest := p.in.Rest()
		if at := bytes.IndexByte(rest, framing.Magic); at != 0 {
			if at < 0 {
				at = len(rest)
			}
			if err := p.skip(rest[:at]); err != nil || at == len(rest) {
				return false, err
			}
			continue
		}
		h, size, possible := helloAt(rest)
		switch {
		case !possible:
			if err := p.skip(rest[:1]); err != nil {
				return false, err
			}
		case size == 0:
			return false, nil
		default:
			p.in.Discard(size)
			if p.noise.skipped > 0 && p.notify.noise != nil {
				p.notify.noise(p.noise.kept)
			}
			return true, p.accept(h)
		}
	}
}

// helloAt looks for a whole hello at the front of b. It is not possible if the bytes cannot become one; size is 0 while some are missing.
func helloAt(b []byte) (hello Hello, size int, possible bool) {
	if len(b) < framing.HeaderSize {
		return Hello{}, 0, true
	}
	h, err := framing.Parse(b)
	if err != nil || h.Type != typeHello || h.ID != 0 || h.Length > maxHello {
		return Hello{}, 0, false
	}
	payload := b[framing.HeaderSize:]
	if n := min(len(payload), len(greeting)); string(payload[:n]) != greeting[:n] {
		return Hello{}, 0, false
	}
	if len(payload) < int(h.Length) {
		return Hello{}, 0, true
	}
	if int(h.Length) < len(greeting) || decodeValue(payload[len(greeting):h.Length], &hello) != nil {
		return Hello{}, 0, false
	}
	hello.setDefaults()
	return hello, framing.HeaderSize + int(h.Length), true
}

// explain says what there was in place of a hello, for a stream that has ended before it; with the reading role.
func (p *Peer) explain(err error) error {
	if err == nil || p.phase != awaitHello || p.noise.skipped == 0 {
		return err
	}
	return fmt.Errorf("%w after %d bytes that are no hello, beginning with %.256q", err, p.noise.skipped, p.noise.kept)
}

func (p *Peer) skip(b []byte) error {
	n := &p.noise
	n.skipped += len(b)
	n.kept = append(n.kept, b[:min(len(b), maxNoiseKept-len(n.kept))]...)
	if n.skipped > maxNoise {
		return violation("more than %d KiB before the hello, beginning with %.64q; is this a stdcrew worker, and does it keep its stdout free?", maxNoise>>10, n.kept)
	}
	p.in.Discard(len(b))
	return nil
}
