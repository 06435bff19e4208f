package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// results are what was measured: by point, by system, by round.
type results struct {
	systems []*system
	points  []point
	all     [][][]*measured
	durable bool // the puts went to a disk
}

// spread is the median of some numbers, the least and the most of them.
type spread struct{ median, least, most float64 }

func spreadOf(numbers []float64) spread {
	n := slices.Sorted(slices.Values(numbers))
	return spread{(n[(len(n)-1)/2] + n[len(n)/2]) / 2, n[0], n[len(n)-1]}
}

func (r *results) spread(point, system int, of func(*measured) float64) spread {
	var numbers []float64
	for _, m := range r.all[point][system] {
		numbers = append(numbers, of(m))
	}
	return spreadOf(numbers)
}

// print writes the tables, in Markdown.
func (r *results) print(w io.Writer) {
	fmt.Fprintln(w, "\nOperations a second: median (least to most of the rounds)")
	r.table(w, r.names(), func(point, system int) string {
		s := r.spread(point, system, func(m *measured) float64 { return m.Rate })
		return fmt.Sprintf("%s (%s to %s)", whole(s.median), whole(s.least), whole(s.most))
	})
	fmt.Fprintln(w, "\nLatency: median and 99th percentile, each the median of the rounds")
	r.table(w, r.names(), func(point, system int) string {
		p50 := r.spread(point, system, func(m *measured) float64 { return float64(m.P50) })
		p99 := r.spread(point, system, func(m *measured) float64 { return float64(m.P99) })
		return fmt.Sprintf("%.2f, %.2f ms", p50.median/1e6, p99.median/1e6)
	})
	fmt.Fprintln(w, "\nCPU time of an operation: of the system + of its client")
	r.table(w, r.names(), func(point, system int) string {
		server := r.spread(point, system, func(m *measured) float64 { return float64(m.Server) })
		client := r.spread(point, system, func(m *measured) float64 { return float64(m.Client) })
		return fmt.Sprintf("%.0f + %.0f µs", server.median/float64(time.Microsecond), client.median/float64(time.Microsecond))
	})
	if r.durable {
		fmt.Fprintln(w, "\nBytes written to disk for each byte of keys and values, all copies together")
		r.table(w, r.names(), func(point, system int) string {
			return fmt.Sprintf("%.1f", r.spread(point, system, func(m *measured) float64 { return m.Written }).median)
		})
	}
	r.printRatios(w)
}

// printRatios writes how many times as many operations GTStore did as each of the others, in
// the same round.
func (r *results) printRatios(w io.Writer) {
	var names []string
	var pairs [][2]int
	for i, own := range r.systems {
		for k, other := range r.systems {
			if own.kind == kindGTStore && other.kind != kindGTStore {
				names, pairs = append(names, own.name+" : "+other.name), append(pairs, [2]int{i, k})
			}
		}
	}
	if len(pairs) == 0 {
		return
	}
	fmt.Fprintln(w, "\nOperations a second, ratios: median (least to most of the rounds)")
	r.table(w, names, func(point, pair int) string {
		var ratios []float64
		own, other := r.all[point][pairs[pair][0]], r.all[point][pairs[pair][1]]
		for round := range own {
			ratios = append(ratios, own[round].Rate/other[round].Rate)
		}
		s := spreadOf(ratios)
		return fmt.Sprintf("%.2f (%.2f to %.2f)", s.median, s.least, s.most)
	})
}

func (r *results) names() (names []string) {
	for _, s := range r.systems {
		names = append(names, s.name)
	}
	return names
}

// table writes a row for each point.
func (r *results) table(w io.Writer, columns []string, cell func(point, column int) string) {
	fmt.Fprintf(w, "\n| | callers | %s |\n|---|---|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for i, p := range r.points {
		fmt.Fprintf(w, "| %s | %d |", p.name, p.callers)
		for k := range columns {
			fmt.Fprintf(w, " %s |", cell(i, k))
		}
		fmt.Fprintln(w)
	}
}

// whole writes a number with a comma between thousands.
func whole(v float64) string {
	text := fmt.Sprint(int64(math.Round(v)))
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
