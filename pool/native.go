package pool

import (
	"context"
	"log/slog"

	"github.com/stdcrew/stdcrew/rpc"
)

// native is the dialect of package rpc, for one pool: its connections share what they need once, and it prepares calls for them.
type native struct{ rpc.Group }

// smallFrame is the default size of a frame: a limit for messages below it lowers that for frames too.
const smallFrame = 256 << 10

func (n *native) Connect(ctx context.Context, s Stream, o ConnOptions) (Conn, error) {
	welcome := rpc.Welcome{Slot: o.Slot, OwnGroup: o.OwnGroup, InFlight: o.InFlight, MaxMessage: o.MaxMessage}
	if o.MaxMessage > 0 && o.MaxMessage < smallFrame {
		welcome.MaxFrame = o.MaxMessage
	}
	peer, err := rpc.Connect(ctx, s, rpc.HostOptions{
		Welcome:  welcome,
		Group:    &n.Group,
		Goodbye:  o.Goodbye,
		Starting: o.Starting,
		Noise: func(text []byte) {
			o.Log.Warn("output before the hello was skipped; did something print to stdout?", slog.String("text", string(text)))
		},
		HoldLost: true,

		CancelGrace: unresolved(o.CancelGrace),
		Stuck:       o.Stuck,
		WriteStall:  o.WriteStall,
		FrameStall:  o.FrameStall,
		Heartbeat:   o.Heartbeat,
	})
	if err != nil {
		return nil, err
	}
	return peer, nil
}
