package view

// Page is what the HTML shows: a trace, and one or more runs of it.
type Page struct {
	Name   string   `json:"name"` // of the trace's file
	Story  []string `json:"story"`
	Lead   string   `json:"lead"` // the story's first paragraph
	Rule   string   `json:"rule"`
	Trace  string   `json:"trace"` // the schedule as text
	Expect string   `json:"expect"`
	Note   string   `json:"note"` // something that the reader should know of this page; may be empty
	Runs   []*Run   `json:"runs"` // the first is shown first
}

// Run is what is shown of one run. Times are nanoseconds of virtual time, hosts are
// indices into Hosts, texts are indices into Strings, and -1 means none. Steps and
// Messages are kept by columns, and their times as differences, so that the page stays
// small.
type Run struct {
	Core     string `json:"core"`     // the mutant's name; "" for the real core
	Removed  string `json:"removed"`  // of a mutant: the rule that it lacks
	Without  string `json:"without"`  // of a mutant: what goes wrong without that rule
	Verdict  string `json:"verdict"`  // as in sim.Outcome
	Property string `json:"property"` // the one that is violated, or ""
	Headline string `json:"headline"` // the verdict as a sentence
	Meaning  string `json:"meaning"`  // what the property asks for
	Detail   string `json:"detail"`   // the violation's own text
	Facts    string `json:"facts"`    // how much happened

	Hosts    []HostInfo `json:"hosts"`
	Strings  []string   `json:"strings"`
	Steps    Steps      `json:"steps"`
	Messages Messages   `json:"messages"`
	Ops      []Op       `json:"ops"`
	Bands    []Band     `json:"bands"`
	Moments  []Moment   `json:"moments"` // in order
	Skipped  int        `json:"skipped"` // how many events at the start were not recorded
	Thinned  int        `json:"thinned"` // how many steps were left out since they changed nothing and the run is long
	End      int64      `json:"end"`
	Bad      int        `json:"bad"`    // the step at which it went wrong
	Healed   int        `json:"healed"` // the first step after the faults
	Focus    [2]int     `json:"focus"`  // the steps to look at first
}

// HostInfo is a host, which the diagram shows as a lane.
type HostInfo struct {
	Name string `json:"name"`
	Role string `json:"role"` // "manager", "storage" or "client"
}

// Steps are what happened, in order. A step is one element of each slice, but for
// Changes.
type Steps struct {
	Time    []int64    `json:"t"` // since the step before
	Kind    []StepKind `json:"k"`
	Host    []int      `json:"h"`
	Message []int      `json:"m"` // of StepTake and StepLose
	Text    []int      `json:"x"`
	Events  []int      `json:"e"` // the core's events in it, as text
	Routine []int      `json:"r"` // 1 for a step that a reader need not see, such as a heartbeat
	// Changes has an element for each step that changed a host's state: the step, the
	// host, and then pairs of a field's name and new value.
	Changes [][]int `json:"c"`
}

// StepKind says what a step is.
type StepKind int

const (
	StepTake   StepKind = iota // a message was taken in
	StepTick                   // a deadline passed
	StepLose                   // a message was lost
	StepCall                   // an operation began
	StepReturn                 // an operation ended
	StepHost                   // a process started, ended, paused or went on
	StepFault                  // an action of the schedule
	StepBad                    // a property was found violated
)

// Messages are those that were put on the network, in the order of sending. The steps
// tell when one was taken in: once, never, or more often.
type Messages struct {
	Time    []int64 `json:"t"` // of sending, since the message before
	From    []int   `json:"f"`
	To      []int   `json:"o"`
	Kind    []int   `json:"k"` // its name
	Text    []int   `json:"x"`
	Group   []int   `json:"g"` // 0 for none
	Cause   []int   `json:"s"` // the step that sent it
	Routine []int   `json:"r"`
	Late    []int   `json:"l"` // 1 for one that took longer than the network's latency
}

// Op is an operation of a user.
type Op struct {
	Host   int    `json:"h"`
	Text   string `json:"x"` // "put x b"
	Result string `json:"r"` // "ok, version 3"
	Status string `json:"s"` // as core.Status; "" when it never ended
	Call   int    `json:"c"` // step
	Return int    `json:"d"` // step
	Group  int    `json:"g"` // that served it, 0 for none
	Final  bool   `json:"f"` // of the probe after the faults
	Part   int    `json:"p"` // in a violation: 2 for the operation that no order explains, 1 for those that show it
}

// Band is a stretch of time in which something was wrong with a host. Host -1 stands for
// the network.
type Band struct {
	Host int    `json:"h"`
	Kind string `json:"k"` // bandDown, bandPaused and so on
	From int    `json:"a"` // step
	To   int    `json:"b"` // step; -1 for the end
	Text string `json:"x"`
}

// Moment is one of the few steps that tell the story of the run.
type Moment struct {
	Step int    `json:"s"`
	Host int    `json:"h"`
	Kind string `json:"k"` // "fault", "config", "op", "bad" or "good"
	Text string `json:"x"`

	weight int
}
