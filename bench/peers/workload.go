package main

import (
	"fmt"
	"reflect"
)

// workload is what all contenders are asked to do alike.
type workload struct {
	Payload  string `json:"payload"`   // the name of one of payloads
	Callers  int    `json:"callers"`   // goroutines that each make one call after the other
	Workers  int    `json:"workers"`   // processes that answer
	InFlight int    `json:"in_flight"` // calls that one worker may have at a time: 1, or as many as the contender likes
}

func (w workload) String() string {
	return fmt.Sprintf("%s/c%d/w%d/f%d", w.Payload, w.Callers, w.Workers, w.InFlight)
}

// alone says whether a worker takes one call at a time.
func (w workload) alone() bool { return w.InFlight == 1 }

const recordPayload = "struct"

// payloads is what there is to send, and the bytes that the floor sends for it: for the record about what the encodings make of it.
var payloads = map[string]int{"64B": 64, "4KiB": 4 << 10, "1MiB": 1 << 20, recordPayload: 160}

// shown is what is measured unless the flags say otherwise: one caller with each payload, then callers in crowds.
var shown = []workload{
	{"64B", 1, 1, 1},
	{"4KiB", 1, 1, 1},
	{"1MiB", 1, 1, 1},
	{recordPayload, 1, 1, 1},
	{"64B", 16, 1, 64},
	{"64B", 256, 1, 64},
	{recordPayload, 256, 1, 64},
	{"64B", 16, 8, 1},
	{"64B", 256, 8, 1},
	{"4KiB", 256, 8, 1},
	{"64B", 256, 8, 64},
}

// lone is what is measured of starts.
var lone = workload{"64B", 1, 1, 1}

// product is every combination.
func product() []workload {
	var all []workload
	for _, p := range []string{"64B", "4KiB", "1MiB", recordPayload} {
		for _, callers := range []int{1, 16, 256} {
			for _, workers := range []int{1, 8} {
				for _, inFlight := range []int{1, 64} {
					all = append(all, workload{p, callers, workers, inFlight})
				}
			}
		}
	}
	return all
}

// bytesOf is what the caller of that number sends. Callers differ, so that an answer that reaches the wrong one is noticed.
func bytesOf(size, caller int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(caller + 7*i)
	}
	return b
}

func recordOf(caller int) Record {
	return Record{
		Name: fmt.Sprintf("photo-%d.jpg", caller), Path: "/srv/photos/2024/06", Kind: "image/jpeg", Digest: bytesOf(32, caller),
		ID: int64(caller), Size: 4_812_331, Status: 200, Score: 0.8125, Cached: true, Tags: []string{"holiday", "sea"},
	}
}

func checkBytes(sent, got []byte, fully bool) error {
	if len(got) != len(sent) || got[0] != sent[0] || fully && string(got) != string(sent) {
		return fmt.Errorf("sent %d bytes and got %d others back", len(sent), len(got))
	}
	return nil
}

func checkRecord(sent, got *Record, fully bool) error {
	if got.ID != sent.ID || len(got.Tags) != len(sent.Tags) || fully && !reflect.DeepEqual(sent, got) {
		return fmt.Errorf("sent %+v and got %+v back", sent, got)
	}
	return nil
}
