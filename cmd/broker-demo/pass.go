package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/stdcrew/stdcrew/testworkers/handlers"
	"github.com/stdcrew/stdcrew/testworkers/index/wordcount"
)

const (
	filesAhead  = 64 // files found and not yet opened
	piecesAhead = 4  // pieces cut and not yet taken by a caller
)

// indexFunc has a piece of text indexed by somebody else.
type indexFunc func(context.Context, handlers.IndexInput) (handlers.IndexOutput, error)

// plan is what the passes of a run have in common. All its functions may be
// called from several goroutines at once.
type plan struct {
	root    string
	index   indexFunc
	callers int    // calls made at a time
	readers int    // files read at a time
	verify  bool   // count in process, too
	ledger  string // absolute path for the workers, or empty

	count    *counters
	fileDone func()                       // a text file's last piece has been answered
	warn     func(name string, err error) // something could not be read; counts it
	failed   func(key string, err error)  // a call has failed; counts it
}

// pass is one walk over the files: walking, reading and calling go on side by
// side, joined by bounded channels, so that a tree of any size needs the
// memory of a few pieces a caller beside the totals.
type pass struct {
	plan
	number int
	files  chan source
	pieces chan piece

	byWorkers tally // what the workers answered
	inProcess tally // with verify: the same pieces, counted here
}

// piece is a part of a text file on its way to a worker.
type piece struct {
	key  string
	text []byte
	of   *openFile
}

// openFile knows when the last of a file's pieces has been answered.
type openFile struct {
	left   atomic.Int64 // pieces without an answer, and one while the file is being read
	failed atomic.Bool
}

func newPass(p plan, number int) *pass {
	return &pass{
		plan:   p,
		number: number,
		files:  make(chan source, filesAhead),
		pieces: make(chan piece, piecesAhead),
	}
}

// run makes the pass. It returns when every goroutine of it has ended: after
// the last file; or, once drain has ended, when the files then open are done; or, once
// force has ended, when the calls under way have returned. The error is the walk's own.
func (p *pass) run(drain, force context.Context) error {
	walked := make(chan error, 1)
	// Ends with the walk; readers take what it finds until the channel is closed.
	go func() {
		defer close(p.files)
		walked <- walk(drain, p.root, p.found, p.warn)
	}()
	var readers, callers sync.WaitGroup
	for range p.readers {
		// Ends when the walk has closed files; callers take what it cuts until pieces is closed.
		readers.Go(func() { p.read(drain, force) })
	}
	for range p.callers {
		// Ends when pieces is closed, which is when the last reader has ended.
		callers.Go(func() { p.call(force) })
	}
	readers.Wait()
	close(p.pieces)
	callers.Wait()

	err := <-walked
	if drain.Err() != nil {
		return nil // the walk was told to end
	}
	return err
}

// verdict compares what the workers counted with what was counted in process,
// and is empty when they agree.
func (p *pass) verdict() string {
	return difference(p.byWorkers.total(), p.inProcess.total())
}

func (p *pass) found(file source) error {
	p.files <- file
	return nil
}

// read opens files and cuts them, until there are no more. After drain has
// ended it opens none, after force it also gives up the one it has.
func (p *pass) read(drain, force context.Context) {
	cutter := newCutter(pieceLimit)
	for file := range p.files {
		if drain.Err() != nil {
			continue
		}
		if err := p.readFile(force, cutter, file); err != nil {
			p.warn(file.name, err)
		}
	}
}

func (p *pass) readFile(force context.Context, cutter *cutter, from source) error {
	file, err := os.Open(from.path)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := isText(file)
	if err != nil {
		return err
	}
	if !text {
		p.count.skipped.Add(1)
		return nil
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	of := &openFile{}
	of.left.Add(1)
	err = p.cut(force, cutter, file, from.name, of)
	if err != nil {
		of.failed.Store(true)
	}
	p.release(of)
	return err
}

// cut sends the pieces of a text to the callers and, with verify, counts each itself.
func (p *pass) cut(force context.Context, cutter *cutter, text io.Reader, name string, of *openFile) error {
	cutter.reset(text)
	for n := 0; force.Err() == nil; n++ {
		part, err := cutter.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if p.verify {
			p.inProcess.add(wordcount.Count(part))
		}
		of.left.Add(1)
		p.pieces <- piece{key: pieceKey(name, n), text: part, of: of}
	}
	of.failed.Store(true) // the rest of it is given up
	return nil
}

// pieceKey names the n-th piece of a file, as one word.
func pieceKey(name string, n int) string {
	return handlers.LedgerKey(fmt.Sprintf("%s#%d", name, n))
}

// call has pieces indexed and adds up the answers, each piece once, until there
// are no more. After force has ended it drops them.
func (p *pass) call(force context.Context) {
	for piece := range p.pieces {
		if force.Err() != nil {
			continue
		}
		if err := p.callOne(force, piece); err != nil {
			piece.of.failed.Store(true)
			p.failed(piece.key, err)
		}
		p.release(piece.of)
	}
}

func (p *pass) callOne(force context.Context, piece piece) error {
	out, err := p.index(force, handlers.IndexInput{Key: piece.key, Pass: p.number, Text: piece.text, Ledger: p.ledger})
	p.count.calls.Add(1)
	if err != nil {
		return err
	}
	if out.Bytes != len(piece.text) {
		return fmt.Errorf("the worker counted %d of %d bytes", out.Bytes, len(piece.text))
	}
	p.count.bytes.Add(int64(len(piece.text)))
	p.byWorkers.add(out.Words)
	return nil
}

// release takes one claim off a file, and counts the file as done with the last.
func (p *pass) release(of *openFile) {
	if of.left.Add(-1) == 0 && !of.failed.Load() {
		p.count.files.Add(1)
		p.fileDone()
	}
}
