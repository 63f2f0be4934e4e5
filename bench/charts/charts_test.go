package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const measured = `{"rounds": 3, "round_ns": 1000000, "contenders": [{"name": "raw pipe"}, {"name": "abacus", "version": "v9"}], "results": [
	{"workload": "64B/c1/w1/f1", "placement": "free", "contender": "raw pipe", "median": {"p50_ns": 4000}},
	{"workload": "64B/c1/w1/f1", "placement": "free", "contender": "abacus", "median": {"p50_ns": 123456}},
	{"workload": "64B/c1/w1/f1", "placement": "pinned", "contender": "abacus", "median": {"p50_ns": 78900}}]}`

func TestChartsShowWhatWasMeasured(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, run([]string{dir}, strings.NewReader(measured)))
	svg, err := os.ReadFile(filepath.Join(dir, "one-caller.svg"))
	require.NoError(t, err)
	for _, text := range []string{"abacus", "raw pipe", "4.00", ">123<", ">78.9<", "pinned"} {
		require.Contains(t, string(svg), text)
	}
	require.Less(t, len(svg), 20_000, "small enough to keep beside the text")
	for d := xml.NewDecoder(strings.NewReader(string(svg))); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
	}
	require.NoFileExists(t, filepath.Join(dir, "start.svg"), "it was not measured")
	page, err := os.ReadFile(filepath.Join(dir, "results.md"))
	require.NoError(t, err)
	require.Contains(t, string(page), "| abacus | v9 |")
	require.Contains(t, string(page), "| abacus | 123.5 µs |")
	require.FileExists(t, filepath.Join(dir, "results.json"))
}

func TestChartsSayWhatIsWrong(t *testing.T) {
	require.ErrorContains(t, run(nil, nil), "give the directory")
	require.ErrorContains(t, run([]string{t.TempDir()}, strings.NewReader("{")), "read the results")
}

func TestFigure(t *testing.T) {
	for v, text := range map[float64]string{0: "", 3.456: "3.46", 34.56: "34.6", 345.6: "346", 3456: "3456", 345_678: "346k"} {
		require.Equal(t, text, figure(v))
	}
}
