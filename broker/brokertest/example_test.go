package brokertest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/broker/brokertest"
)

// Greeter is the code under test: it asks a worker, and has an answer of its own where that is lost.
type Greeter struct{ Broker *broker.Broker }

func (g Greeter) Greet(ctx context.Context, name string) (string, error) {
	text, err := broker.Call[string](ctx, g.Broker, "polite.greet", name, broker.Idempotent())
	if errors.Is(err, broker.ErrTransient) {
		return "hello, " + name, nil
	}
	return text, err
}

// In a test t is its *testing.T.
func Example() {
	t := exampleT()
	defer t.end()

	b := brokertest.New(t, brokertest.Pools{
		"polite": {Handlers: func(w *brokertest.Worker) {
			brokertest.Handle(w, "greet", func(_ context.Context, name string) (string, error) {
				return "good morning, " + name, nil
			})
		}},
	})
	g, polite := Greeter{b.Broker}, b.Pool("polite")

	fmt.Println(g.Greet(context.Background(), "Ada"))

	polite.Next("greet", 1, brokertest.Killed(11, "segmentation fault")) // the broker repeats the call: it is idempotent
	fmt.Println(g.Greet(context.Background(), "Ada"))

	polite.Next("greet", 1, brokertest.Interrupted(broker.NotSent))
	fmt.Println(g.Greet(context.Background(), "Ada"))

	polite.Next("greet", 1, brokertest.Answer(&broker.RemoteError{Code: "shy", Message: "I do not know you"}))
	_, err := g.Greet(context.Background(), "Bob")
	var remote *broker.RemoteError
	fmt.Println(errors.As(err, &remote), remote.Code)
	// Output:
	// good morning, Ada <nil>
	// good morning, Ada <nil>
	// hello, Ada <nil>
	// true shy
}

// exampleTest stands for a test's *testing.T, which an example does not have.
type exampleTest struct {
	testing.TB
	cleanups []func()
}

func exampleT() *exampleTest { return new(exampleTest) }

func (t *exampleTest) Helper() {}

func (t *exampleTest) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

func (t *exampleTest) end() {
	for _, f := range t.cleanups {
		f()
	}
}
