// Command thumbnaild serves thumbnails over HTTP; it is its own worker program.
//
//	go run ./examples/thumbnaild -listen localhost:8080
//	curl --data-binary @picture.png 'localhost:8080/?width=100' > small.jpeg
package main

import (
	"bytes"
	"context"
	"flag"
	"image"
	_ "image/gif"
	"image/jpeg"
	_ "image/png"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/examples/thumbnails"
	"github.com/stdcrew/stdcrew/worker"
)

// crews are the workers that this program can be.
var crews = map[string]func(*worker.Worker){
	"images": func(w *worker.Worker) { worker.Handle(w, "resize", resize) },
}

func main() {
	worker.Main(crews) // in a process that the broker has started it does not return
	listen := flag.String("listen", "localhost:8080", "`address` to listen on")
	flag.Parse()
	if err := serve(*listen); err != nil {
		slog.Error("thumbnaild", "err", err)
		os.Exit(1)
	}
}

// serve serves until the first interrupt. Then requests under way have ten seconds.
func serve(listen string) error {
	b, err := broker.New(options())
	if err != nil {
		return err
	}
	defer func() {
		if err := b.Close(); err != nil {
			slog.Warn("workers had to be forced", "err", err)
		}
	}()
	s := http.Server{Addr: listen, Handler: &thumbnails.Server{Images: b}, ReadTimeout: time.Minute}
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- s.ListenAndServe() }() // ends with Shutdown
	select {
	case err := <-failed:
		return err
	case <-interrupted.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return s.Shutdown(ctx)
}

func options() broker.Options {
	return broker.Options{
		Log:   slog.Default(),
		Pools: map[string]broker.PoolOptions{"images": {Command: broker.Self("images"), Queue: 100}},
	}
}

// resize runs in the workers.
func resize(ctx context.Context, in thumbnails.Resize) (out thumbnails.Thumbnail, err error) {
	from, _, err := image.Decode(bytes.NewReader(in.Picture))
	if err != nil {
		return out, &worker.Error{Code: thumbnails.CodeNoPicture, Message: err.Error()}
	}
	size := from.Bounds().Size()
	to := image.NewRGBA(image.Rect(0, 0, in.Width, max(1, size.Y*in.Width/max(1, size.X))))
	for y := range to.Rect.Dy() {
		if err := ctx.Err(); err != nil {
			return out, err // the caller has given up
		}
		for x := range to.Rect.Dx() {
			at := image.Pt(x*size.X/to.Rect.Dx(), y*size.Y/to.Rect.Dy()).Add(from.Bounds().Min)
			to.Set(x, y, from.At(at.X, at.Y))
		}
	}
	var b bytes.Buffer
	err = jpeg.Encode(&b, to, nil)
	return thumbnails.Thumbnail{JPEG: b.Bytes()}, err
}
