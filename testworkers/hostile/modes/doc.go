// Package modes plays workers that misbehave, each in one way.
//
// They speak docs/protocol.md by hand, because a worker made with package
// worker cannot do most of what is done here. In everything but its one
// misbehavior a mode is a good worker, so that a test can see who serves the
// calls before and after it. All modes have these methods:
//
//   - pid answers with the process id, whatever the arguments.
//   - echo answers with the process id and the arguments, in one array. They
//     are to fit into one frame.
//   - hold answers with the process id when the next misbehave is over.
//   - misbehave takes the number of calls of hold that are to be there first,
//     says on the standard error what it is about to do, and does it.
//
// The modes, by family, each in the file of that name:
//
//   - start: slow, never-hello, hello-exit, hello-silent
//   - chatty: banner, banner-torn, babble, greet, print, print-after,
//     stderr-lines, stderr-endless
//   - garbage: garbage, half-header, half-frame, half-message, giant,
//     giant-message, parts, unknown-type, second-hello, host-only, id-falls
//   - bomb: bomb-array, bomb-text, bomb-nils, bomb-key, bomb-deep, bomb-tail,
//     oversize
//   - answers: twice, stray, late, deaf-cancel
//   - leave: exit-0, exit-half, mute, grandchild, daemon
//   - stuck: deaf, stuffed, closes-stdin, frozen
package modes
