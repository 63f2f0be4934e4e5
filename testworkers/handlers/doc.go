// Package handlers holds what the test workers do when they are called.
//
// Each function here registers the methods of one kind of worker:
//
//   - [Echo]: echo, ledger_echo and sleep, for measuring and for filling a crew with calls
//   - [Index]: index, the word frequencies of a piece of text: real work with a
//     result that anybody can count again
//   - [Crash]: exit, kill, grandchild and sleep, for dying in the ways that workers die
//
// The programs testworkers/echo, testworkers/index and testworkers/crash are a
// main function around one of them each. A program that is its own worker
// passes them to worker.Main and needs no other binary:
//
//	worker.Main(map[string]func(*worker.Worker){
//		"index": handlers.Index,
//		"crash": handlers.Crash,
//	})
package handlers
