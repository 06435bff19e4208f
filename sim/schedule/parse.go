package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gtstore/core"
)

// Parse reads a schedule from its text, one thing a line. Blank lines are skipped, and
// the lines of the heading may come in any order. DefaultShape has what they leave out.
// Comments become the Story, wherever they stand. The result is valid; an error names
// the line, what is wrong there and what would be accepted.
func Parse(text string) (*Schedule, error) {
	p := &parser{s: &Schedule{Shape: DefaultShape()}, lines: map[part]int{}}
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		p.number = number
		if err := p.line(strings.Trim(strings.TrimRight(line, "\r"), blanks), line); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if bad := p.s.check(); bad != nil {
		return nil, fmt.Errorf("line %d: %s", p.lines[bad.part], bad.text)
	}
	return p.s, nil
}

type parser struct {
	s      *Schedule
	number int          // of the line being read
	lines  map[part]int // where each part of the schedule stands
}

// line reads one line, trimmed. A comment is read from raw, the line as it stands,
// since the blanks at its end belong to it.
func (p *parser) line(line, raw string) error {
	if line == "" {
		return nil
	}
	if line[0] == '#' {
		return p.comment(raw)
	}
	first, rest := line, ""
	if i := strings.IndexAny(line, blanks); i >= 0 {
		first, rest = line[:i], strings.Trim(line[i:], blanks)
	}
	switch first {
	case "rule", "mutant", "shows", "expect":
		return p.head(first, rest)
	}
	words, err := split(rest)
	if err != nil {
		return err
	}
	switch first {
	case "cluster", "network", "disk", "clients", limitsLine:
		return p.shape(first, words)
	case "clock":
		return p.clock(words)
	case "unhealed":
		return p.unhealed(words)
	case "recorded":
		return p.recorded(words)
	case "at":
		return p.action(words)
	case "drop", "duplicate", "delay", "corrupt":
		return p.deviation(first, words)
	}
	return fmt.Errorf("%q begins no line: want at, drop, duplicate, delay, corrupt, rule, mutant, shows, expect, cluster, network, disk, clients, limits, clock, unhealed, recorded or #", first)
}

// parseWant reads how a call must end, from the arrow on.
func (a *Action) parseWant(words []token) error {
	if len(words) < 2 || words[1].quoted {
		return errors.New("the arrow points at nothing: want -> STATUS, or -> ok VALUE of a get")
	}
	for s := core.StatusOK; s <= core.StatusUnknown; s++ {
		if s.String() == words[1].text {
			a.Want.Status = s
		}
	}
	switch {
	case a.Want.Status == 0:
		return fmt.Errorf("%q is no status: want such as ok, not-found, conflict, unavailable, group-lost or unknown", words[1].text)
	case len(words) == 2:
		return nil
	case len(words) > 3:
		return fmt.Errorf("%q is too much", words[3].text)
	}
	return a.parseWord(useValue, words[2], &a.Want.Value)
}

func (p *parser) comment(raw string) error {
	if len(p.s.Story) == StoryMax {
		return fmt.Errorf("the heading is too long: want at most %d lines", StoryMax)
	}
	text := strings.TrimLeft(strings.TrimRight(raw, "\r"), blanks)[1:]
	p.lines[part{"story", len(p.s.Story)}] = p.number
	p.s.Story = append(p.s.Story, strings.TrimPrefix(text, " "))
	return nil
}

// once notes the place of a line, and refuses a second one of that name.
func (p *parser) once(name string) error {
	at := part{name, 0}
	if before, ok := p.lines[at]; ok {
		return fmt.Errorf("a second %s line (the first is line %d): want one", name, before)
	}
	p.lines[at] = p.number
	return nil
}

func (p *parser) head(name, rest string) error {
	if err := p.once(name); err != nil {
		return err
	}
	for i := range headLines {
		h := &headLines[i]
		switch {
		case h.name != name:
		case rest == "":
			return fmt.Errorf("%s without %s: want %s, or no such line", name, h.lacks, h.want)
		case name == "shows":
			*h.field(p.s) = strings.Join(strings.Fields(rest), " ")
		default:
			*h.field(p.s) = rest
		}
	}
	return nil
}

func (p *parser) shape(line string, words []token) error {
	if err := p.once(line); err != nil {
		return err
	}
	var opts []option
	for i := range shapeFields {
		f := &shapeFields[i]
		if f.line == line {
			opts = append(opts, option{f.name, f.want, func(text string) bool { return f.set(&p.s.Shape, text) }})
		}
	}
	return options(words, opts)
}

func (p *parser) unhealed(words []token) error {
	if err := p.once("unhealed"); err != nil {
		return err
	}
	if len(words) == 0 {
		return errors.New("unhealed without a host: want unhealed NODE..., or no such line")
	}
	for _, t := range words {
		p.s.Unhealed = append(p.s.Unhealed, t.text)
	}
	return nil
}

func (p *parser) clock(words []token) error {
	const usage = "want clock HOST [offset=DURATION] [ppm=N]"
	if len(words) == 0 {
		return errors.New("clock without a host: " + usage)
	}
	c := Clock{Host: words[0].text}
	err := options(words[1:], []option{
		{"offset", "a duration such as 5s", durationOption(&c.Offset)},
		{"ppm", "a number", func(text string) bool {
			n, err := strconv.ParseInt(text, 10, 64)
			c.PPM = n
			return err == nil
		}},
	})
	if err != nil {
		return fmt.Errorf("%w (%s)", err, usage)
	}
	p.lines[part{"clock", len(p.s.Shape.Clocks)}] = p.number
	p.s.Shape.Clocks = append(p.s.Shape.Clocks, c)
	if len(p.s.Shape.Clocks) > ManagersMax+NodesMax+ClientsMax {
		return errors.New("too many clocks: want one a host at most")
	}
	return nil
}

func (p *parser) action(words []token) error {
	const usage = "want at TIME and a fault, or at TIME, a client and its call"
	if len(words) < 2 {
		return errors.New("at without a time and a verb: " + usage)
	}
	if len(p.s.Actions) == ActionsMax {
		return fmt.Errorf("too many actions: want at most %d", ActionsMax)
	}
	at, err := time.ParseDuration(words[0].text)
	if err != nil {
		return fmt.Errorf("%q is no time: want a duration such as 10ms or 1.5s", words[0].text)
	}
	a := Action{At: at, Verb: verbNamed(words[1])}
	rest := words[2:]
	if a.Verb == 0 && len(words) > 2 {
		// A client's call names the client first, as a person says it.
		if v := verbNamed(words[2]); v.spec().hosts == hostClient {
			a.Verb, a.Host, rest = v, words[1].text, words[3:]
		}
	}
	spec := a.Verb.spec()
	switch {
	case a.Verb == 0:
		return fmt.Errorf("%q is no verb: want %s", words[1].text, verbList())
	case spec.hosts == hostClient && a.Host == "":
		return fmt.Errorf("%s without a client: want at TIME %s", spec.name, spec.usage)
	}
	if err := a.parse(spec, rest); err != nil {
		return fmt.Errorf("%w: want at TIME %s", err, spec.usage)
	}
	p.lines[part{"action", len(p.s.Actions)}] = p.number
	p.s.Actions = append(p.s.Actions, a)
	return nil
}

func verbNamed(t token) Verb {
	for v, spec := range verbSpecs {
		if spec.name == t.text && v > 0 && !t.quoted {
			return Verb(v)
		}
	}
	return 0
}

func verbList() string {
	var calls, faults []string
	for _, spec := range verbSpecs[1:] {
		if spec.hosts == hostClient {
			calls = append(calls, spec.name)
		} else {
			faults = append(faults, spec.name)
		}
	}
	return strings.Join(faults, ", ") + "; or a client, then " + strings.Join(calls, ", ")
}

// parse reads the fields behind the verb. They come in the order of the uses, and last
// what is written as NAME=N, or the arrow.
func (a *Action) parse(spec verbSpec, words []token) error {
	for use := useHost; use <= useRate; use <<= 1 {
		if spec.uses&use == 0 || use == useHost && a.Host != "" {
			continue
		}
		if len(words) == 0 {
			return fmt.Errorf("%s ends early", spec.name)
		}
		t := words[0]
		if name, size, ok := strings.Cut(t.text, Padding); ok && use == useValue && !t.quoted {
			n, err := strconv.Atoi(size)
			if err != nil || n < 1 {
				return fmt.Errorf("%q has no size: want VALUE*BYTES, such as v1*1048576", t.text)
			}
			t.text, a.Size = name, n
		}
		if err := a.parseWord(use, t, &a.Value); err != nil {
			return err
		}
		words = words[1:]
	}
	switch {
	case spec.hosts == hostClient && len(words) > 0 && words[0] == (token{text: arrow}):
		return a.parseWant(words)
	case spec.uses&useGroups != 0:
		a.Groups = groupsOf(words)
		return nil
	case spec.uses&(useKeep|useRecord) != 0:
		var opts []option
		for _, o := range a.numbers() {
			if (o.name == "record") == (spec.uses&useRecord != 0) {
				opts = append(opts, option{o.name, "a number", numberOption(o.at)})
			}
		}
		return options(words, opts)
	case spec.uses&useRates != 0:
		opts := []option{{"delay-max", "a duration such as 200ms", durationOption(&a.DelayMax)}}
		for i, rate := range [...]*int{&a.Drop, &a.Duplicate, &a.Delay, &a.Corrupt} {
			opts = append(opts, option{rateNames[i], "a permille", numberOption(rate)})
		}
		return options(words, opts)
	case spec.uses&useTerms != 0:
		return options(words, []option{
			{"reads", "confirm or lease", readsOption(&a.Terms.Reads)},
			{"lease", "a duration such as 300ms", durationOption(&a.Terms.Lease)},
			{"min-chain", "a number", func(text string) bool {
				n, err := strconv.ParseUint(text, 10, 32)
				a.Terms.MinChain = uint32(n)
				return err == nil
			}},
		})
	case len(words) > 0:
		return fmt.Errorf("%q is too much", words[0].text)
	}
	return nil
}

// parseWord reads one word into the field of that use. A value goes to *value: the one
// that is written, or the one that a get must return.
func (a *Action) parseWord(use uses, t token, value *string) error {
	switch use {
	case useKey, useValue:
		if !t.quoted && !isBare(t.text) {
			return fmt.Errorf("%s is no word: put what has other characters than A-Z, a-z, 0-9, _, . and - in double quotes", t.text)
		}
		if use == useKey {
			a.Key = t.text
		} else {
			*value = t.text
		}
		return nil
	}
	if t.quoted {
		return fmt.Errorf("%q is quoted: only keys and values are", t.text)
	}
	switch use {
	case useHost:
		a.Host = t.text
	case useLink:
		if a.Verb.everyLink() && t.text == "*" {
			return nil
		}
		return a.Link.parse(t)
	case useTarget:
		a.Target = t.text
	case useRate:
		n, err := strconv.Atoi(t.text)
		if err != nil {
			return fmt.Errorf("%q is no number", t.text)
		}
		a.Rate = n
	case useVersion:
		a.Version = t.text
		if n, err := strconv.ParseUint(t.text, 10, 64); err == nil {
			a.Version = strconv.FormatUint(n, 10)
		}
	case useLatency:
		d, err := time.ParseDuration(t.text)
		if err != nil {
			return fmt.Errorf("%q is no duration (such as 80ms)", t.text)
		}
		a.Latency = d
	}
	return nil
}

func (l *Link) parse(t token) error {
	from, to, ok := strings.Cut(t.text, ">")
	if !ok || from == "" || to == "" || t.quoted {
		return fmt.Errorf("%q is no link (such as n1>n2)", t.text)
	}
	l.From, l.To = from, to
	return nil
}

func groupsOf(words []token) [][]string {
	groups := [][]string{nil}
	for _, t := range words {
		if t.text == "|" && !t.quoted {
			groups = append(groups, nil)
			continue
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], t.text)
	}
	return groups
}

func (p *parser) deviation(fate string, words []token) error {
	usage := "want " + fate + " FROM>TO KIND#N"
	d := Deviation{}
	for f, name := range fateNames {
		if name == fate {
			d.Fate = Fate(f)
		}
	}
	want := 2
	if d.Fate == FateDelay {
		usage, want = usage+" DURATION", 3
	}
	if len(words) != want {
		return fmt.Errorf("%d words after %s: %s", len(words), fate, usage)
	}
	if len(p.s.Deviate) == ActionsMax {
		return fmt.Errorf("too many deviations: want at most %d", ActionsMax)
	}
	if err := d.Link.parse(words[0]); err != nil {
		return fmt.Errorf("%w: %s", err, usage)
	}
	kind, ordinal, _ := strings.Cut(words[1].text, "#")
	if d.Kind = kindNamed(kind); d.Kind == 0 {
		return fmt.Errorf("%q is no kind of message: want %s", kind, kindList())
	}
	n, err := strconv.Atoi(ordinal)
	if err != nil {
		return fmt.Errorf("%q has no ordinal: %s, such as %s#3", words[1].text, usage, kind)
	}
	d.Ordinal = n
	if d.Fate == FateDelay {
		if d.By, err = time.ParseDuration(words[2].text); err != nil {
			return fmt.Errorf("%q is no duration: %s", words[2].text, usage)
		}
	}
	p.lines[part{"deviation", len(p.s.Deviate)}] = p.number
	p.s.Deviate = append(p.s.Deviate, d)
	return nil
}

func kindNamed(name string) core.Kind {
	for k := core.Kind(1); int(k) < core.KindCount; k++ {
		if onWire(k) && k.String() == name {
			return k
		}
	}
	return 0
}

func kindList() string {
	var names []string
	for k := core.Kind(1); int(k) < core.KindCount; k++ {
		if onWire(k) {
			names = append(names, k.String())
		}
	}
	return strings.Join(names, ", ")
}

// token is a word of a line; quoted when it stood in double quotes.
type token struct {
	text   string
	quoted bool
}

// split cuts a line into words at its blanks. Blanks in double quotes do not count.
func split(line string) ([]token, error) {
	var words []token
	for line = strings.TrimLeft(line, blanks); line != ""; line = strings.TrimLeft(line, blanks) {
		end := strings.IndexAny(line, blanks)
		if end < 0 {
			end = len(line)
		}
		t := token{text: line[:end]}
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("%s: the quotes do not match: want a string as Go writes it, such as \"a b\\n\"", line)
			}
			end = len(quoted)
			if t.text, err = strconv.Unquote(quoted); err != nil {
				return nil, fmt.Errorf("%s is no string: want one as Go writes it, such as \"a b\\n\"", quoted)
			}
			t.quoted = true
			if end < len(line) && !strings.ContainsRune(blanks, rune(line[end])) {
				return nil, fmt.Errorf("%s goes on after the quotes: want a blank there", quoted)
			}
		}
		words = append(words, t)
		line = line[end:]
	}
	return words, nil
}

// option is a NAME=VALUE that a line may carry. set reports whether it accepts the value.
type option struct {
	name, want string
	set        func(text string) bool
}

func options(words []token, opts []option) error {
	seen := map[string]bool{}
	for _, t := range words {
		name, value, ok := strings.Cut(t.text, "=")
		if !ok || t.quoted {
			return fmt.Errorf("%q is no option: want %s", t.text, optionList(opts))
		}
		if seen[name] {
			return fmt.Errorf("%s twice: want it once", name)
		}
		seen[name] = true
		found := false
		for _, o := range opts {
			if o.name != name {
				continue
			}
			found = true
			if !o.set(value) {
				return fmt.Errorf("%s=%s: want %s", name, value, o.want)
			}
		}
		if !found {
			return fmt.Errorf("there is no %s here: want %s", name, optionList(opts))
		}
	}
	return nil
}

func optionList(opts []option) string {
	names := make([]string, len(opts))
	for i, o := range opts {
		names[i] = o.name + "="
	}
	return strings.Join(names, ", ")
}

func durationOption(d *time.Duration) func(string) bool {
	return func(text string) bool {
		v, err := time.ParseDuration(text)
		*d = v
		return err == nil
	}
}

func readsOption(reads *core.ReadMode) func(string) bool {
	return func(text string) bool {
		*reads = 0
		for _, mode := range [...]core.ReadMode{core.ReadConfirm, core.ReadLease} {
			if mode.String() == text {
				*reads = mode
			}
		}
		return *reads != 0
	}
}

func numberOption(n *int) func(string) bool {
	return func(text string) bool {
		v, err := strconv.Atoi(text)
		*n = v
		return err == nil
	}
}
