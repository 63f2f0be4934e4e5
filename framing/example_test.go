package framing_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"

	"github.com/stdcrew/stdcrew/framing"
)

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Here a message that was cut into two frames comes in reads of ten bytes.
func Example() {
	const typeReply = 0x12
	var sent bytes.Buffer
	sent.Write(framing.Header{Type: typeReply, Flags: framing.More, Length: 4 + 6, ID: 2}.Append(nil))
	sent.Write(binary.BigEndian.AppendUint32(nil, 11)) // the whole message is 11 bytes long
	sent.WriteString("hello ")
	sent.Write(framing.Header{Type: typeReply, Length: 5, ID: 2}.Append(nil))
	sent.WriteString("there")

	reader := framing.NewReader(framing.DefaultFrame, framing.DefaultMessage, nil)
	for {
		n, err := sent.Read(reader.Space()[:10])
		if err != nil {
			break
		}
		reader.Filled(n)
		for {
			message, ok, err := reader.Next()
			if err != nil || !ok {
				break
			}
			fmt.Printf("type %#x, call %d: %s\n", message.Type, message.ID, message.Body)
		}
	}
	// Output: type 0x12, call 2: hello there
}
