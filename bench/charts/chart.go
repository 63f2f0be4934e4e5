package main

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
	"github.com/stdcrew/stdcrew/bench/internal/report"
)

// chart is one picture: a bar for each contender and placement.
type chart struct {
	file, title, workload, unit string
	value                       func(gauge.Figures) float64
}

var charts = []chart{
	{"one-caller.svg", "One caller, one worker, 64 B: a call takes (p50, shorter is better)", "64B/c1/w1/f1", "µs", p50},
	{"one-caller-1mib.svg", "One caller, one worker, 1 MiB there and back: a call takes (p50, shorter is better)", "1MiB/c1/w1/f1", "ms", slowP50},
	{"one-worker.svg", "256 callers, one worker, 64 B: calls per second (longer is better)", "64B/c256/w1/f64", "calls/s", rate},
	{"eight-workers.svg", "256 callers, eight workers with one call at a time, 64 B: calls per second (longer is better)", "64B/c256/w8/f1", "calls/s", rate},
	{"cpu.svg", "One caller, one worker, 64 B: CPU time of both sides for a call (shorter is better)", "64B/c1/w1/f1", "µs", cpu},
	{"start.svg", "From nothing to the first answer (p50, shorter is better)", "start", "ms", slowP50},
	{"recovery.svg", "From SIGKILL of the idle worker to the next answer (p50, shorter is better)", "recovery", "ms", slowP50},
}

func p50(f gauge.Figures) float64     { return float64(f.P50) / float64(time.Microsecond) }
func slowP50(f gauge.Figures) float64 { return float64(f.P50) / float64(time.Millisecond) }
func cpu(f gauge.Figures) float64     { return float64(f.CPU) / float64(time.Microsecond) }
func rate(f gauge.Figures) float64    { return f.Rate }

// placements are the bars of a contender, from top to bottom.
var placements = []struct {
	name  string
	color color.Color
}{
	{"free", color.RGBA{R: 0x2b, G: 0x6c, B: 0xb0, A: 0xff}},
	{"pinned", color.RGBA{R: 0xa0, G: 0xae, B: 0xc0, A: 0xff}},
}

const (
	width     = 18 * vg.Centimeter
	rowHeight = 0.85 * vg.Centimeter
	frame     = 2.4 * vg.Centimeter // for title, axis and its label
	barWidth  = 7 * vg.Millimeter / 2
	margin    = 4 * vg.Millimeter
	headroom  = 1.15 // of the axis, for the figures beside the bars
)

// draw returns the picture, or nil if nothing of it was measured.
func (c chart) draw(r *report.Report) ([]byte, error) {
	names, values := c.data(r)
	if len(names) == 0 {
		return nil, nil
	}
	plot.DefaultFont.Variant, plotter.DefaultFont.Variant = "Sans", "Sans"
	p := plot.New()
	p.Title.Text, p.X.Label.Text = c.title, c.unit
	p.Title.Padding = 2 * vg.Millimeter
	p.Legend.Top = c.unit != "calls/s" // where the bars are short: the floor is on top
	p.Legend.Padding = vg.Millimeter
	p.NominalY(names...)
	p.X.Min, p.X.Max = 0, 0
	for i, placement := range placements {
		if err := addBars(p, placement.name, placement.color, values[i], (barWidth/2)*vg.Length(1-2*i)); err != nil {
			return nil, err
		}
		p.X.Max = max(p.X.Max, slices.Max(values[i])*headroom)
	}
	canvas := vgsvg.New(width, frame+rowHeight*vg.Length(len(names)))
	p.Draw(draw.Crop(draw.New(canvas), margin, -margin, 0, -margin/4))
	var out bytes.Buffer
	_, err := canvas.WriteTo(&out)
	return out.Bytes(), err
}

// data returns the contenders from the bottom up, and the values of each placement in that order; 0 was not measured.
func (c chart) data(r *report.Report) (names []string, values [][]float64) {
	for _, e := range slices.Backward(r.Contenders) {
		names = append(names, e.Name)
	}
	found := false
	values = make([][]float64, len(placements))
	for i, placement := range placements {
		values[i] = make([]float64, len(names))
		for _, res := range r.Results {
			if at := slices.Index(names, res.Contender); at >= 0 && res.Workload == c.workload && res.Placement == placement.name {
				values[i][at], found = c.value(res.Median), true
			}
		}
	}
	if !found {
		return nil, nil
	}
	return names, values
}

func addBars(p *plot.Plot, name string, fill color.Color, values plotter.Values, offset vg.Length) error {
	bars, err := plotter.NewBarChart(values, barWidth)
	if err != nil {
		return err
	}
	bars.Horizontal, bars.Color, bars.Offset, bars.LineStyle.Width = true, fill, offset, 0
	figures := plotter.XYLabels{}
	for i, v := range values {
		figures.XYs = append(figures.XYs, plotter.XY{X: v, Y: float64(i)})
		figures.Labels = append(figures.Labels, figure(v))
	}
	labels, err := plotter.NewLabels(figures)
	if err != nil {
		return err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i].Font.Size = 8
	}
	labels.Offset = vg.Point{X: vg.Millimeter, Y: offset - 3}
	p.Add(bars, labels)
	p.Legend.Add(name, bars)
	return nil
}

// figure writes a value as people read it: three digits that matter, thousands apart, nothing for what was not measured.
func figure(v float64) string {
	switch {
	case v == 0:
		return ""
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	case v < 10_000:
		return strconv.Itoa(int(math.Round(v)))
	default:
		return fmt.Sprintf("%dk", int(math.Round(v/1000)))
	}
}
