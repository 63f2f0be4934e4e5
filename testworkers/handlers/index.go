package handlers

import (
	"context"

	"github.com/stdcrew/stdcrew/testworkers/index/wordcount"
	"github.com/stdcrew/stdcrew/worker"
)

// IndexInput is what index takes: one piece of a text.
type IndexInput struct {
	// Key names the piece. It appears in the ledger, so it must not contain
	// white space; [LedgerKey] makes such a key from any text.
	Key string `msgpack:"key"`
	// Pass tells repeated runs over the same pieces apart in the ledger.
	Pass int `msgpack:"pass"`
	// Text is the piece itself. Words are counted as package wordcount says.
	Text []byte `msgpack:"text"`
	// Ledger is the absolute path of a file to which the call's begin and end
	// are appended. If empty, nothing is written.
	Ledger string `msgpack:"ledger,omitempty"`
}

// IndexOutput is what index answers.
type IndexOutput struct {
	// Words holds how often each word occurs in the piece.
	Words map[string]int `msgpack:"words"`
	// Bytes is the length of the text that was counted.
	Bytes int `msgpack:"bytes"`
}

// Index registers index, which takes an [IndexInput] and answers with an
// [IndexOutput]. Repeating a call changes nothing but the ledger.
func Index(w *worker.Worker) {
	worker.Handle(w, "index", index)
}

func index(_ context.Context, in IndexInput) (out IndexOutput, err error) {
	l, err := beginLedger(in.Ledger, in.Pass, in.Key)
	if err != nil {
		return IndexOutput{}, err
	}
	out = IndexOutput{Words: wordcount.Count(in.Text), Bytes: len(in.Text)}
	return out, l.end()
}
