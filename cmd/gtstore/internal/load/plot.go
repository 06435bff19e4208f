package load

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// The picture, in pixels: two panels, one below the other.
const (
	plotWidth, plotHeight     = 760, 640
	panelLeft, panelWidth     = 80, 640
	panelHeight               = 210
	rateTop, latencyTop       = 90, 380
	putColour, getColour      = "#b5400e", "#1769aa"
	percentilesDecades        = 5 // up to 99.999 %
	percentilesPointsInDecade = 20
)

// panel maps values to a part of the picture. Both axes are linear; what is to be on a
// logarithmic one comes as its logarithm.
type panel struct {
	b                      *bytes.Buffer
	top                    float64
	xLow, xHigh, low, high float64
}

func (p *panel) at(x, y float64) (left, top float64) {
	return panelLeft + panelWidth*(x-p.xLow)/(p.xHigh-p.xLow), p.top + panelHeight*(p.high-y)/(p.high-p.low)
}

func (p *panel) title(text string) {
	fmt.Fprintf(p.b, `<text x="%d" y="%.0f" class="title">%s</text>`+"\n", panelLeft, p.top-10, escape(text))
}

func (p *panel) tickX(x float64, text string) {
	left, bottom := p.at(x, p.low)
	fmt.Fprintf(p.b, `<path d="M%.1f %.1fV%.1f" class="grid"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n",
		left, p.top, bottom, left, bottom+18, escape(text))
}

func (p *panel) tickY(y float64, text string) {
	left, top := p.at(p.xLow, y)
	fmt.Fprintf(p.b, `<path d="M%.1f %.1fH%d" class="grid"/><text x="%.1f" y="%.1f" text-anchor="end">%s</text>`+"\n",
		left, top, panelLeft+panelWidth, left-6, top+4, escape(text))
}

func (p *panel) line(colour string, points [][2]float64) {
	if len(points) == 0 {
		return
	}
	fmt.Fprintf(p.b, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="`, colour)
	for _, point := range points {
		left, top := p.at(point[0], point[1])
		fmt.Fprintf(p.b, "%.1f,%.1f ", left, top)
	}
	p.b.WriteString("\"/>\n")
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}

// WriteSVG draws a recording: how many operations ended in each moment, and the latency by
// percentile. The picture is one SVG element that needs nothing else.
func WriteSVG(w io.Writer, title, detail string, r *Recording) error {
	puts, err := r.Puts.Latencies()
	if err != nil {
		return err
	}
	gets, err := r.Gets.Latencies()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" role="img">
<title>%[3]s</title>
<style>text{font:12px sans-serif;fill:#333}.title{font-weight:bold}.grid{stroke:#ddd;fill:none}</style>
<rect width="100%%" height="100%%" fill="#fff"/>
<text x="%[4]d" y="26" style="font-size:16px" class="title">%[3]s</text>
<text x="%[4]d" y="46">%[5]s</text>
<path d="M590 76h20" stroke="%[6]s" stroke-width="3"/><text x="615" y="80">puts</text>
<path d="M660 76h20" stroke="%[7]s" stroke-width="3"/><text x="685" y="80">gets</text>
`, plotWidth, plotHeight, escape(title), panelLeft, escape(detail), putColour, getColour)
	drawRate(&b, r)
	drawLatency(&b, puts, gets)
	b.WriteString("</svg>\n")
	_, err = w.Write(b.Bytes())
	return err
}

// WriteHTML writes a page with the picture of WriteSVG.
func WriteHTML(w io.Writer, title, detail string, r *Recording) error {
	if _, err := fmt.Fprintf(w, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><title>%s</title></head><body>\n", escape(title)); err != nil {
		return err
	}
	if err := WriteSVG(w, title, detail, r); err != nil {
		return err
	}
	_, err := io.WriteString(w, "</body></html>\n")
	return err
}

func drawRate(b *bytes.Buffer, r *Recording) {
	most := 1.0
	scaled := func(series []int64) (points [][2]float64) {
		for i, n := range series {
			rate := float64(n) / r.Interval.Seconds()
			most = max(most, rate)
			points = append(points, [2]float64{(float64(i) + 0.5) * r.Interval.Seconds(), rate})
		}
		return points
	}
	puts, gets := scaled(r.Puts.Series), scaled(r.Gets.Series)
	step := niceStep(most / 5)
	p := &panel{b, rateTop, 0, Points * r.Interval.Seconds(), 0, step * math.Ceil(most/step)}
	p.title("Operations a second that succeeded, over time")
	for y := 0.0; y <= p.high+step/2; y += step {
		p.tickY(y, fmt.Sprintf("%.6g", y))
	}
	step = niceStep(p.xHigh / 8)
	for x := 0.0; x <= p.xHigh+step/1000; x += step {
		p.tickX(x, fmt.Sprintf("%.3g s", x))
	}
	p.line(putColour, puts)
	p.line(getColour, gets)
}

// niceStep is the least of 1, 2 and 5 times a power of ten that is not less.
func niceStep(least float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, step := range []float64{1, 2, 5} {
		if step*power >= least {
			return step * power
		}
	}
	return 10 * power
}

func drawLatency(b *bytes.Buffer, puts, gets Latencies) {
	low, high := math.Inf(1), math.Inf(-1)
	curve := func(l Latencies) (points [][2]float64) {
		for i := range percentilesDecades*percentilesPointsInDecade + 1 {
			x := float64(i) / percentilesPointsInDecade
			beyond := math.Pow(10, -x) // the share of operations that take longer
			if float64(l.Count())*beyond < 1 {
				break // no single operation decides about this percentile
			}
			y := math.Log10(math.Max(1, float64(l.Percentile(100*(1-beyond))/time.Microsecond)))
			low, high = min(low, y), max(high, y)
			points = append(points, [2]float64{x, y})
		}
		return points
	}
	putLine, getLine := curve(puts), curve(gets)
	if len(putLine)+len(getLine) == 0 {
		low, high = 0, 0
	}
	p := &panel{b, latencyTop, 0, percentilesDecades, math.Floor(low), math.Max(math.Ceil(high), math.Floor(low)+1)}
	p.title("Latency by percentile, of the operations that succeeded")
	for y := p.low; y <= p.high; y++ {
		p.tickY(y, (time.Duration(math.Round(math.Pow(10, y))) * time.Microsecond).String())
	}
	for i, text := range []string{"0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"} {
		p.tickX(float64(i), text)
	}
	p.line(putColour, putLine)
	p.line(getColour, getLine)
}
