package view

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"gtstore/sim/schedule"
)

//go:embed web
var web embed.FS

// scripts are concatenated in this order. They are no modules, since a page that is one
// file has nothing to import from.
var scripts = []string{"model.js", "diagram.js", "panel.js", "main.js"}

// traceTextMax bounds how many bytes of a schedule's text a page quotes.
const traceTextMax = 1 << 16

// NewPage is the page of a trace and its runs. The name is that of the trace's file. The
// first run is shown first.
func NewPage(name string, s *schedule.Schedule, runs ...*Run) *Page {
	p := &Page{Name: name, Story: s.Story, Rule: s.Rule, Expect: s.Expect, Runs: runs, Trace: s.String()}
	for _, line := range s.Story {
		if line == "" {
			break
		}
		p.Lead = strings.TrimSpace(p.Lead + " " + line)
	}
	if p.Expect == "" {
		p.Expect = "holds"
	}
	if len(p.Trace) > traceTextMax {
		p.Trace = strings.ToValidUTF8(p.Trace[:traceTextMax], "") + fmt.Sprintf("\n… and %d bytes more", len(p.Trace)-traceTextMax)
	}
	return p
}

// WriteHTML writes the page as one file that needs nothing else. A trace's keys, values
// and sentences cannot become markup or script: they stand in one JSON text, and the
// scripts set them as text.
func WriteHTML(w io.Writer, p *Page) error {
	t, err := template.ParseFS(web, "web/page.html")
	if err != nil {
		return err
	}
	style, err := web.ReadFile("web/page.css")
	if err != nil {
		return err
	}
	var script bytes.Buffer
	for _, name := range scripts {
		text, err := web.ReadFile("web/" + name)
		if err != nil {
			return err
		}
		script.Write(text)
	}
	return t.Execute(w, map[string]any{
		"Page": p, "Style": template.CSS(style), "Script": template.JS(script.String()),
	})
}
