// Package framing turns a byte stream into frames and back.
//
// A frame is a header of [HeaderSize] bytes and a payload. Framing knows sizes and ids; what a frame means, which side may send it and
// when, is the business of package rpc. The layout is section 2 of docs/protocol.md, messages cut into several frames are section 3.
//
// Four types do the work, none of which performs I/O, starts a goroutine or takes a lock:
//
//   - [Header] is one frame's header: [Header.Put] writes it, [Parse] reads it and refuses what cannot be one.
//   - [Buffer] collects bytes as they were read and gives back whole frames.
//   - [Assembler] joins the frames of a message that was cut.
//   - [Reader] is both, and has large payloads read straight to where they stay.
//
// Whoever reads is then a loop:
//
//	n, err := stream.Read(reader.Space())
//	reader.Filled(n)
//	for {
//		message, ok, err := reader.Next()
//		if err != nil || !ok {
//			break
//		}
//		…
//	}
//
// Everything that the other side claims is checked before memory is taken for it.
package framing
