package main

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// plotArgument makes this program draw the tables of growth.sh: from standard input to
// standard output.
const plotArgument = "plot"

// The picture, in pixels: a row of two panels for each table.
const (
	plotWidth               = 860
	panelWidth, panelHeight = 330, 170
	panelLeft, panelStep    = 70, 420
	rowTop, rowStep         = 70, 250
)

// growth is one table of growth.sh: what throughput and latency become as one thing grows.
type growth struct {
	what   string
	labels []string
	series [6][]float64 // puts/s, their median and 99th percentile in µs, and the same of gets
}

// readGrowth reads those tables of a text in Markdown that have these columns. Others, such
// as that of the memory, it leaves out.
func readGrowth(r io.Reader) (all []*growth, err error) {
	var g *growth
	s := bufio.NewScanner(r)
	for s.Scan() {
		cells := strings.Split(strings.Trim(s.Text(), "| "), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case len(cells) != 7:
			g = nil
		case cells[1] == "puts/s":
			g = &growth{what: cells[0]}
			all = append(all, g)
		case g == nil || strings.HasPrefix(cells[0], "--"):
		default:
			g.labels = append(g.labels, cells[0])
			for i := range g.series {
				v, err := strconv.ParseFloat(cells[i+1], 64)
				if err != nil || v <= 0 {
					return nil, fmt.Errorf("plot: %s %s: %q is no number above 0", g.what, cells[0], cells[i+1])
				}
				g.series[i] = append(g.series[i], v)
			}
		}
	}
	if len(all) == 0 && s.Err() == nil {
		return nil, errors.New("plot: there is no table of growth.sh on standard input")
	}
	return all, s.Err()
}

// plot draws the tables: on the left operations a second, on the right latencies, both on
// logarithmic axes.
func plot(w io.Writer, all []*growth) error {
	var b bytes.Buffer
	height := rowTop + rowStep*len(all)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" role="img">
<title>How throughput and latency grow</title>
<style>text{font:12px sans-serif;fill:#333}.title{font-weight:bold}.grid{stroke:#ddd;fill:none}polyline{fill:none;stroke-width:1.5}.put{stroke:#b5400e}.get{stroke:#1769aa}.tail{stroke-dasharray:4 3}</style>
<rect width="100%%" height="100%%" fill="#fff"/>
<path d="M70 26h24" class="put" stroke-width="3"/><text x="100" y="30">puts</text>
<path d="M150 26h24" class="get" stroke-width="3"/><text x="180" y="30">gets</text>
<text x="240" y="30">dashed: 99th percentile; both axes logarithmic upwards</text>
`, plotWidth, height)
	for i, g := range all {
		top := float64(rowTop + rowStep*i)
		g.panel(&b, panelLeft, top, "operations a second", []line{{0, "put"}, {3, "get"}})
		g.panel(&b, panelLeft+panelStep, top, "latency, µs", []line{{1, "put"}, {2, "put tail"}, {4, "get"}, {5, "get tail"}})
	}
	b.WriteString("</svg>\n")
	_, err := w.Write(b.Bytes())
	return err
}

// line is one column of a table, and how it is drawn.
type line struct {
	series int
	class  string
}

func (g *growth) panel(b *bytes.Buffer, left, top float64, what string, lines []line) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, l := range lines {
		for _, v := range g.series[l.series] {
			low, high = min(low, math.Floor(math.Log10(v))), max(high, math.Ceil(math.Log10(v)))
		}
	}
	high = max(high, low+1)
	x := func(i int) float64 { return left + panelWidth*(float64(i)+0.5)/float64(len(g.labels)) }
	y := func(v float64) float64 { return top + panelHeight*(high-v)/(high-low) }
	fmt.Fprintf(b, `<text x="%.0f" y="%.0f" class="title">%s, by %s</text>`+"\n", left, top-10, what, escape(g.what))
	for decade := low; decade <= high; decade++ {
		fmt.Fprintf(b, `<path d="M%.0f %.1fh%d" class="grid"/><text x="%.0f" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, y(decade), panelWidth, left-6, y(decade)+4, whole(math.Pow(10, decade)))
	}
	for i, label := range g.labels {
		fmt.Fprintf(b, `<text x="%.1f" y="%.0f" text-anchor="middle">%s</text>`+"\n", x(i), top+panelHeight+18, escape(label))
	}
	for _, l := range lines {
		fmt.Fprintf(b, `<polyline class="%s" points="`, l.class)
		for i, v := range g.series[l.series] {
			fmt.Fprintf(b, "%.1f,%.1f ", x(i), y(math.Log10(v)))
		}
		b.WriteString("\"/>\n")
	}
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}
