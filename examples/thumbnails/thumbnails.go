// Package thumbnails serves thumbnails of pictures over HTTP and leaves the pictures to workers.
//
// Decoding what strangers upload is the kind of work that crashes, hangs and eats memory. Here it happens in other processes: a picture that
// kills a worker costs its own request and no other.
package thumbnails

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/stdcrew/stdcrew/broker"
)

// Resize is what the method images.resize takes.
type Resize struct {
	Width   int // pixels
	Picture []byte
}

// Thumbnail is what it returns.
type Thumbnail struct{ JPEG []byte }

// CodeNoPicture is the code of the worker's error for bytes that are no picture.
const CodeNoPicture = "no_picture"

// Caller is what a Server asks of a broker. A *broker.Broker is one.
type Caller interface {
	Call(ctx context.Context, method string, in, out any, opts ...broker.CallOption) error
}

// Server answers POST /?width=200 with a picture as the body. The zero value needs Images.
type Server struct {
	Images Caller
	// Patience bounds one request. If zero, it is 5 s.
	Patience time.Duration
}

const (
	defaultPatience = 5 * time.Second
	defaultWidth    = 200
	maxWidth        = 4096
	maxPicture      = 8 << 20 // bytes
)

// ServeHTTP answers one request. It may be called by any goroutines at once.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	width := defaultWidth
	if text := r.URL.Query().Get("width"); text != "" {
		var err error
		if width, err = strconv.Atoi(text); err != nil || width < 1 || width > maxWidth {
			http.Error(w, "width must be a number of pixels, at most "+strconv.Itoa(maxWidth), http.StatusBadRequest)
			return
		}
	}
	picture, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPicture))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	patience := s.Patience
	if patience == 0 {
		patience = defaultPatience
	}
	var out Thumbnail
	// Resizing changes nothing in the world, so the broker may try again when a worker was lost.
	err = s.Images.Call(r.Context(), "images.resize", Resize{Width: width, Picture: picture}, &out, broker.Timeout(patience), broker.Idempotent())
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "image/jpeg")
	_, _ = w.Write(out.JPEG) // an error is the client's who has gone
}

// fail makes a status of an error, by what it says about a further try.
func fail(w http.ResponseWriter, err error) {
	status, text := http.StatusInternalServerError, "the picture could not be resized"
	var remote *broker.RemoteError
	switch {
	case errors.As(err, &remote) && remote.Code == CodeNoPicture:
		status, text = http.StatusUnsupportedMediaType, remote.Message
	case errors.Is(err, context.DeadlineExceeded):
		status, text = http.StatusGatewayTimeout, "the picture took too long"
	case broker.Retryable(err): // it has not been touched
		status, text = http.StatusServiceUnavailable, "too busy"
		w.Header().Set("Retry-After", "1")
	case errors.Is(err, broker.ErrPoison): // it has been tried alone, and crashed its workers
		status, text = http.StatusUnprocessableEntity, "the picture breaks what reads it"
	case errors.Is(err, broker.ErrTransient): // it has been tried several times, and workers were lost meanwhile
		status, text = http.StatusBadGateway, "too many workers were lost"
	}
	http.Error(w, text, status)
}
