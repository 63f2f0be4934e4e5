// Package arch holds the rules of the house as tests.
//
// It has no code of its own. Its tests read the sources of the whole module, for every operating system at once, and fail when
//
//   - a package imports what the table in table_test.go does not allow it, or is missing from that table;
//   - a worker program would link code that starts processes;
//   - a numbered line is missing from docs/behavior.md or docs/pitfalls.md, or a cell from the table of states;
//   - an error is not explained in docs/errors.md;
//   - a test sleeps outside of a synctest bubble;
//   - a Go file admits that something is left to be built.
//
// Whoever adds a package adds a row to the table. Whoever widens a row has found that the design was wrong, which is worth a line in
// docs/rationale.md.
package arch
