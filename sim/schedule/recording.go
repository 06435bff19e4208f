package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Recording is the fingerprint of a run. A schedule may carry that of the run
// which made it worth saving. Where a later run differs, the code has changed its
// behaviour. Schedule and verdict still mean the same, but whoever looks for what
// the schedule once showed must know.
//
// Its line is the last of the heading:
//
//	recorded events=812 hash=90c1f0d2a3b4e5f6 every=16 checkpoints=03f1a2b4...
//
// The hash covers everything that happened. A checkpoint is taken once every so many
// events: the upper 16 bits of the hash as it was then, in hexadecimal. The first
// checkpoint that differs tells where two runs part, to within Every events.
type Recording struct {
	Events      int
	Hash        uint64
	Every       int // events from one checkpoint to the next; a power of two
	Checkpoints []uint16
}

// CheckpointsMax bounds the checkpoints of a Recording. Its line stays readable, and
// in a run of a thousand events Every is 16.
const CheckpointsMax = 64

// recordedMax is the most events that a run can have: one more than EventsMax allows
// the longest schedule, since the run is ended at that event.
const recordedMax = eventsMax + eventsMaxRate*int(DurationMax/time.Second) + 1

// Checkpoint takes in the hash after an event, and keeps it if a checkpoint is due
// there. When the list is full, every second checkpoint is dropped and Every doubles,
// so that the list is half full again.
func (r *Recording) Checkpoint(event int, hash uint64) {
	if event != r.Every*(len(r.Checkpoints)+1) {
		return
	}
	if len(r.Checkpoints) == CheckpointsMax {
		for i := range CheckpointsMax / 2 {
			r.Checkpoints[i] = r.Checkpoints[2*i+1]
		}
		r.Checkpoints = r.Checkpoints[:CheckpointsMax/2]
		r.Every *= 2
		r.Checkpoint(event, hash)
		return
	}
	r.Checkpoints = append(r.Checkpoints, uint16(hash>>48))
}

// A Divergence says where a run begins to differ from a Recording: at an event
// from From to To, counted from 1. Where one of the two ends first, the event is the
// one after its last.
type Divergence struct {
	From, To int
	Recorded int // events of the Recording
}

func (d *Divergence) String() string {
	if d.From == d.To {
		return fmt.Sprintf("diverged at event %d", d.From)
	}
	return fmt.Sprintf("diverged at event %d to %d", d.From, d.To)
}

// Compare returns where a run differs from the recording, or nil. The run had so many
// events and ended with that hash; hashes[i] is its hash after event i+1.
func (r *Recording) Compare(events int, hash uint64, hashes []uint64) *Divergence {
	if r.Events == events && r.Hash == hash {
		return nil
	}
	same := 0
	for _, c := range r.Checkpoints {
		if same+r.Every > len(hashes) || uint16(hashes[same+r.Every-1]>>48) != c {
			break
		}
		same += r.Every
	}
	to := min(r.Events, events) + 1
	if same < r.Every*len(r.Checkpoints) {
		to = min(to, same+r.Every)
	}
	return &Divergence{same + 1, max(same+1, to), r.Events}
}

// String is the line in the text of a schedule.
func (r *Recording) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "recorded events=%d hash=%016x every=%d checkpoints=", r.Events, r.Hash, r.Every)
	for _, c := range r.Checkpoints {
		fmt.Fprintf(&b, "%04x", c)
	}
	return b.String()
}

// check tells what is wrong with the recording, in the terms of its line; "" for nothing.
func (r *Recording) check() string {
	switch {
	case r.Events < 1 || r.Events > recordedMax:
		return fmt.Sprintf("events=%d: want a number from 1 to %d", r.Events, recordedMax)
	case r.Every < 1 || r.Every > recordedMax || r.Every&(r.Every-1) != 0:
		return fmt.Sprintf("every=%d: want a power of two up to %d", r.Every, recordedMax)
	case len(r.Checkpoints) != r.Events/r.Every || len(r.Checkpoints) > CheckpointsMax:
		return fmt.Sprintf("%d checkpoints of %d events: want one every %d of them, and at most %d", len(r.Checkpoints), r.Events, r.Every, CheckpointsMax)
	}
	return ""
}

// recorded reads the line of a Recording.
func (p *parser) recorded(words []token) error {
	if err := p.once("recorded"); err != nil {
		return err
	}
	r := &Recording{}
	p.s.Recorded = r
	given := 0
	hex := func(text string, digits int, value *uint64) bool {
		given++
		v, err := strconv.ParseUint(text, 16, 64)
		*value = v
		return err == nil && len(text) == digits && text == strings.ToLower(text)
	}
	number := func(n *int) func(string) bool {
		return func(text string) bool { given++; return numberOption(n)(text) }
	}
	err := options(words, []option{
		{"events", "a number", number(&r.Events)},
		{"hash", "16 hexadecimal digits, in lower case", func(text string) bool { return hex(text, 16, &r.Hash) }},
		{"every", "a number", number(&r.Every)},
		{"checkpoints", fmt.Sprintf("4 hexadecimal digits, in lower case, for each of at most %d checkpoints", CheckpointsMax), func(text string) bool {
			given++
			if len(text)%4 != 0 || len(text) > 4*CheckpointsMax {
				return false
			}
			for ; text != ""; text = text[4:] {
				var v uint64
				if !hex(text[:4], 4, &v) {
					return false
				}
				r.Checkpoints = append(r.Checkpoints, uint16(v))
				given--
			}
			return true
		}},
	})
	if err == nil && given != 4 {
		err = errors.New("something is missing: want recorded events=N hash=X every=N checkpoints=X, as gtstore replay --record writes it")
	}
	return err
}

// WithRecording puts a recording into the text of a schedule, in the place of the one
// that it may have. It leaves every other line as it is.
func WithRecording(text string, r *Recording) string {
	var lines []string
	head, begun := 0, false // the heading ends before lines[head]
	for line := range strings.SplitSeq(text, "\n") {
		first, _, _ := strings.Cut(strings.Trim(line, blanks+"\r"), " ")
		first, _, _ = strings.Cut(first, "\t")
		switch first {
		case "recorded":
			continue
		case "at", "drop", "duplicate", "delay", "corrupt":
			begun = true
		}
		lines = append(lines, line)
		if !begun && first != "" && first[0] != '#' {
			head = len(lines)
		}
	}
	if head == 0 { // nothing but comments before what happens
		for head < len(lines) && strings.HasPrefix(strings.TrimLeft(lines[head], blanks), "#") {
			head++
		}
	}
	lines = append(lines[:head:head], append([]string{r.String()}, lines[head:]...)...)
	return strings.Join(lines, "\n")
}
