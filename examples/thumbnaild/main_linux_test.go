package main

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/examples/thumbnails"
	"github.com/stdcrew/stdcrew/worker"
)

// TestMain makes the test's program a worker, too.
func TestMain(m *testing.M) {
	worker.Main(crews)
	os.Exit(m.Run())
}

// Real processes make a real thumbnail.
func TestThumbnail(t *testing.T) {
	b, err := broker.New(options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 640, 480))); err != nil {
		t.Fatal(err)
	}
	post := func(body []byte) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s := thumbnails.Server{Images: b}
		s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/?width=64", bytes.NewReader(body)))
		return w
	}
	small, err := jpeg.Decode(post(picture.Bytes()).Body)
	if err != nil {
		t.Fatal(err)
	}
	if size := small.Bounds().Size(); size != image.Pt(64, 48) {
		t.Errorf("the thumbnail is %v", size)
	}
	if w := post([]byte("text")); w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("got %d %q for a text", w.Code, w.Body)
	}
}
