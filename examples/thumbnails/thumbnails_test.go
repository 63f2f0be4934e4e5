package thumbnails_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/broker/brokertest"
	"github.com/stdcrew/stdcrew/examples/thumbnails"
)

// newServer makes a server whose workers put "small " in front of a picture, and returns their pool.
func newServer(t *testing.T, o broker.PoolOptions) (*thumbnails.Server, *brokertest.Pool) {
	b := brokertest.New(t, brokertest.Pools{"images": {
		Options: o,
		Handlers: func(w *brokertest.Worker) {
			brokertest.Handle(w, "resize", func(_ context.Context, in thumbnails.Resize) (thumbnails.Thumbnail, error) {
				if len(in.Picture) == 0 {
					return thumbnails.Thumbnail{}, &broker.RemoteError{Code: thumbnails.CodeNoPicture, Message: "this is no picture"}
				}
				return thumbnails.Thumbnail{JPEG: append([]byte("small "), in.Picture...)}, nil
			})
		},
	}})
	return &thumbnails.Server{Images: b}, b.Pool("images")
}

func post(s *thumbnails.Server, target, picture string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, target, strings.NewReader(picture)))
	return w
}

func expect(t *testing.T, w *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if w.Code != status || !strings.Contains(w.Body.String(), body) {
		t.Errorf("got %d %q, want %d %q", w.Code, w.Body, status, body)
	}
}

func TestAnswers(t *testing.T) {
	s, _ := newServer(t, broker.PoolOptions{})
	expect(t, post(s, "/?width=100", "picture"), http.StatusOK, "small picture")
	expect(t, post(s, "/?width=none", "picture"), http.StatusBadRequest, "width")
	expect(t, post(s, "/", ""), http.StatusUnsupportedMediaType, "this is no picture")
	expect(t, post(s, "/", strings.Repeat("x", 9<<20)), http.StatusRequestEntityTooLarge, "too large")
}

// What each failure of the workers is for the client. In the bubble no delay costs time.
func TestFailures(t *testing.T) {
	cases := []struct {
		name   string
		harm   func(images *brokertest.Pool)
		status int
	}{
		{"a crash is repeated", func(p *brokertest.Pool) { p.Next("resize", 1, brokertest.Killed(11, "")) }, http.StatusOK},
		{"a picture that kills", func(p *brokertest.Pool) { p.Next("resize", -1, brokertest.Killed(11, "")) }, http.StatusUnprocessableEntity},
		{"a worker that hangs", func(p *brokertest.Pool) { p.Next("resize", 1, brokertest.Hang()) }, http.StatusGatewayTimeout},
		{"a frozen worker is replaced", func(p *brokertest.Pool) { p.Next("resize", 1, brokertest.Freeze()) }, http.StatusOK},
		{"turned down", func(p *brokertest.Pool) { p.Next("resize", 1, brokertest.Interrupted(broker.NotSent)) }, http.StatusServiceUnavailable},
		{"no worker starts", func(p *brokertest.Pool) { p.NextStart(-1, brokertest.Exit(1, "no license")) }, http.StatusServiceUnavailable},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, images := newServer(t, broker.PoolOptions{Max: 1})
				s.Patience = time.Hour
				c.harm(images)
				expect(t, post(s, "/", "picture"), c.status, "")
				images.Reset()
				time.Sleep(2 * time.Minute) // for what the pool waits with new workers, at most
				expect(t, post(s, "/", "picture"), http.StatusOK, "small picture")
			})
		})
	}
}

func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, images := newServer(t, broker.PoolOptions{Max: 1})
		images.Next("resize", 1, brokertest.Hang())
		start := time.Now()
		expect(t, post(s, "/", "picture"), http.StatusGatewayTimeout, "took too long")
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, images := newServer(t, broker.PoolOptions{Max: 1, Queue: 1})
		images.Next("resize", 1, brokertest.Hang())
		for _, picture := range []string{"it hangs", "it waits"} {
			go post(s, "/", picture) // ends with the server's patience
			synctest.Wait()
		}
		w := post(s, "/", "picture")
		expect(t, w, http.StatusServiceUnavailable, "too busy")
		if w.Header().Get("Retry-After") == "" {
			t.Error("the client is not told when to come again")
		}
	})
}
