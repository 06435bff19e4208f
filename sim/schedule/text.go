package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

const blanks = " \t"

// fateNames are the words that begin a deviation.
var fateNames = [FateCount]string{FateDrop: "drop", FateDuplicate: "duplicate", FateDelay: "delay", FateCorrupt: "corrupt"}

// String is the fate as the text of a schedule writes it.
func (f Fate) String() string {
	if f > 0 && f < FateCount {
		return fateNames[f]
	}
	return fmt.Sprintf("Fate(%d)", uint8(f))
}

// String is the canonical text of the schedule: what Parse reads back as an
// equal one, when the schedule is valid.
func (s *Schedule) String() string {
	var b strings.Builder
	line := func(parts ...string) {
		for i, part := range parts {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(part)
		}
		b.WriteByte('\n')
	}
	for _, text := range s.Story {
		if text == "" {
			line("#")
		} else {
			line("#", text)
		}
	}
	for i := range headLines {
		if h := &headLines[i]; *h.field(s) != "" {
			line(h.name, *h.field(s))
		}
	}
	for i := range shapeFields {
		f := &shapeFields[i]
		if f.line == limitsLine && s.Shape.Limits == DefaultShape().Limits {
			continue
		}
		if i == 0 || shapeFields[i-1].line != f.line {
			b.WriteString(f.line)
		}
		if (f.name != managersField || s.Shape.Managers > 1) && (f.name != lossesField || s.Shape.Lossless) {
			b.WriteString(" " + f.name + "=" + f.get(&s.Shape))
		}
		if i == len(shapeFields)-1 || shapeFields[i+1].line != f.line {
			b.WriteByte('\n')
		}
	}
	for _, c := range s.Shape.Clocks {
		line("clock", c.Host, "offset="+c.Offset.String(), "ppm="+strconv.FormatInt(c.PPM, 10))
	}
	if len(s.Unhealed) > 0 {
		line("unhealed", strings.Join(s.Unhealed, " "))
	}
	if s.Recorded != nil {
		line(s.Recorded.String())
	}
	for i := range s.Actions {
		line(s.Actions[i].String())
	}
	for i := range s.Deviate {
		line(s.Deviate[i].String())
	}
	return b.String()
}

// String is the action's line in the text of a schedule.
func (a Action) String() string {
	spec := a.Verb.spec()
	parts := []string{"at", a.At.String()}
	if spec.hosts == hostClient {
		parts = append(parts, a.Host, a.Verb.String())
	} else {
		parts = append(parts, a.Verb.String())
		if spec.uses&useHost != 0 {
			parts = append(parts, a.Host)
		}
	}
	if spec.uses&useLink != 0 {
		if a.Verb.everyLink() && a.Link == (Link{}) {
			parts = append(parts, "*")
		} else {
			parts = append(parts, a.Link.String())
		}
	}
	if spec.uses&useTarget != 0 {
		parts = append(parts, a.Target)
	}
	if spec.uses&useKey != 0 {
		parts = append(parts, word(a.Key))
	}
	if spec.uses&useVersion != 0 {
		parts = append(parts, a.Version)
	}
	if spec.uses&useValue != 0 {
		value := word(a.Value)
		if a.Size != 0 {
			value += Padding + strconv.Itoa(a.Size)
		}
		parts = append(parts, value)
	}
	if spec.uses&useLatency != 0 {
		parts = append(parts, a.Latency.String())
	}
	if spec.uses&useRate != 0 {
		parts = append(parts, strconv.Itoa(a.Rate))
	}
	for i, group := range a.Groups {
		if i > 0 {
			parts = append(parts, "|")
		}
		parts = append(parts, group...)
	}
	for _, o := range a.numbers() {
		if *o.at != 0 {
			parts = append(parts, o.name+"="+strconv.Itoa(*o.at))
		}
	}
	for i, rate := range [...]int{a.Drop, a.Duplicate, a.Delay, a.Corrupt} {
		if rate != 0 {
			parts = append(parts, rateNames[i]+"="+strconv.Itoa(rate))
		}
	}
	if a.DelayMax != 0 {
		parts = append(parts, "delay-max="+a.DelayMax.String())
	}
	parts = append(parts, a.termsText()...)
	if a.Want != (Want{}) {
		parts = append(parts, arrow, a.Want.String())
	}
	return strings.Join(parts, " ")
}

func (a *Action) termsText() (parts []string) {
	if a.Terms.Reads != 0 {
		parts = append(parts, "reads="+a.Terms.Reads.String())
	}
	if a.Terms.Lease != 0 {
		parts = append(parts, "lease="+a.Terms.Lease.String())
	}
	if a.Terms.MinChain != 0 {
		parts = append(parts, "min-chain="+strconv.FormatUint(uint64(a.Terms.MinChain), 10))
	}
	return parts
}

// Padding stands between a value and its padded length, as in v1*1000. The padding
// itself is made of it, too.
const Padding = "*"

// allPadding is enough padding for the largest value.
var allPadding = sync.OnceValue(func() string { return strings.Repeat(Padding, valueBytesMax) })

// Padded returns the value that an action writes, padded to Size bytes if that is more
// than it has.
func (a *Action) Padded() string {
	if a.Size <= len(a.Value) {
		return a.Value
	}
	return a.Value + allPadding()[:a.Size-len(a.Value)]
}

// arrow stands before what a call must end with.
const arrow = "->"

// String is what stands behind the arrow.
func (w Want) String() string {
	if w.Value == "" {
		return w.Status.String()
	}
	return w.Status.String() + " " + word(w.Value)
}

// numberField is a field of an action that is written as NAME=N.
type numberField struct {
	name string
	at   *int
}

func (a *Action) numbers() [3]numberField {
	return [...]numberField{{"keep", &a.Keep}, {"torn", &a.Torn}, {"record", &a.Record}}
}

// String is the deviation's line in the text of a schedule.
func (d Deviation) String() string {
	text := fmt.Sprintf("%s %s %s#%d", d.Fate, d.Link, d.Kind, d.Ordinal)
	if d.By != 0 {
		text += " " + d.By.String()
	}
	return text
}

// String is the link as FROM>TO.
func (l Link) String() string { return l.From + ">" + l.To }

// word writes a key or a value: bare when it cannot be misread, else in double quotes.
func word(text string) string {
	if isBare(text) {
		return text
	}
	return strconv.Quote(text)
}

func isBare(text string) bool {
	for i := range len(text) {
		c := text[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return text != ""
}

// headLines are the lines between the story and the cluster, each of which a
// schedule has once or not at all.
var headLines = [...]struct {
	name  string
	field func(*Schedule) *string
	lacks string
	want  string
}{
	{"rule", func(s *Schedule) *string { return &s.Rule }, "a name", "rule NAME, such as rule R7"},
	{"mutant", func(s *Schedule) *string { return &s.Mutant }, "a name", "mutant NAME violates PROPERTY"},
	{"shows", func(s *Schedule) *string { return &s.Shows }, "a mark", "shows MARK..., such as shows divergent-suffix-cut"},
	{"expect", func(s *Schedule) *string { return &s.Expect }, "a verdict", "expect holds, expect violates PROPERTY or expect not applicable"},
}
