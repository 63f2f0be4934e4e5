package broker_test

import (
	"context"
	"testing"
	"time"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/rpc"
)

// fatal is a crime that costs the worker its life, and all of its calls their answers.
func fatal(mode string, says ...string) crime {
	return crime{
		mode: mode, says: says, dies: true,
		class: broker.ClassInterrupted, delivery: broker.Unknown, others: broker.ClassInterrupted,
	}
}

// harmless is a crime that costs nobody anything.
func harmless(mode string) crime { return crime{mode: mode} }

func (c crime) with(o broker.PoolOptions) crime { c.opts = o; return c }

func (c crime) because(err error) crime { c.is = err; return c }

func TestP1_PrintsToStdout(t *testing.T) {
	after := fatal("print-after")
	after.class = 0 // it had its answer
	after.othersSay = "DEBUG: answered"
	punish(t, []crime{
		fatal("print", `"DEBUG: in the handler\n`, "did something print to stdout?"),
		after,
	})
}

func TestP2_EndlessStderr(t *testing.T) {
	punish(t, []crime{harmless("stderr-lines"), harmless("stderr-endless")})
}

func TestP3_FramesThatCannotBe(t *testing.T) {
	stall := broker.PoolOptions{FrameStall: 100 * time.Millisecond}
	part := crime{mode: "half-message", leave: true, class: broker.ClassContext, delivery: broker.Unknown, is: context.Canceled, dies: true}
	punish(t, []crime{
		fatal("garbage", `"\x00\x01\x02garbage\xff\xfe\xfd and more`, "did something print to stdout?"),
		fatal("half-header", "8 bytes of it came").with(stall).because(rpc.ErrFrameStall),
		fatal("half-frame", "nothing more for 100ms").with(stall).because(rpc.ErrFrameStall),
		part.with(broker.PoolOptions{CancelGrace: 50 * time.Millisecond}),
		fatal("parts", "come to 6 bytes of the 4 announced"),
		fatal("unknown-type", "unknown type 0x2f", "what is it?"),
		fatal("second-hello", "hello after the handshake"),
		fatal("host-only", "shutdown from a worker"),
		fatal("id-falls", "protocol violation"),
	})
}

func TestP4_ClaimsOf4GiB(t *testing.T) {
	punish(t, []crime{
		fatal("giant", "length 4294967295 is over the limit"),
		fatal("giant-message", "claims 4294967295 bytes"),
	})
}

func TestP8_DeathInMidAnswer(t *testing.T) {
	mute := fatal("mute", "closed its stdout, still running")
	punish(t, []crime{
		fatal("exit-0", "exited with code 0"),
		fatal("exit-half", "interrupted: exited with code 0"),
		mute,
	})
}

func TestP11_AnswersThatNobodyWaitsFor(t *testing.T) {
	late := crime{mode: "late", leave: true, class: broker.ClassContext, delivery: broker.Unknown, is: context.Canceled}
	punish(t, []crime{harmless("twice"), harmless("stray"), late})
}
