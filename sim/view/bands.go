package view

import (
	"fmt"
	"slices"
	"strings"

	"gtstore/sim"
	"gtstore/sim/schedule"
)

// The kinds of Band.
const (
	bandDown   = "down"
	bandPaused = "paused"
	bandCut    = "cut"   // cut off from others
	bandClog   = "clog"  // messages are held back
	bandFlaky  = "flaky" // messages are lost, doubled or late
	bandSlow   = "slow"
	bandDisk   = "disk"   // slow or full
	bandLossy  = "lossy"  // packets are lost, and sent again
	bandNarrow = "narrow" // there is little bandwidth
	bandBusy   = "busy"   // each message costs time
)

func (r *recorder) begin(kind string, host, from int, text string) {
	r.open = append(r.open, len(r.run.Bands))
	r.run.Bands = append(r.run.Bands, Band{Host: host, Kind: kind, From: from, To: -1, Text: text})
}

func (r *recorder) close(band, at int) {
	r.run.Bands[band].To = at
	r.open = slices.DeleteFunc(r.open, func(b int) bool { return b == band })
}

// end closes the open bands of that kind and host; with a text, only the one that has
// it. Host -1 stands for the network.
func (r *recorder) end(kind string, host, at int, text string) {
	for _, b := range slices.Clone(r.open) {
		band := &r.run.Bands[b]
		if band.Kind == kind && band.Host == host && (text == "" || band.Text == text) {
			r.close(b, at)
		}
	}
}

// hostBand opens and closes the bands for a process that is down or paused.
func (r *recorder) hostBand(at int, h *sim.Host, c sim.Change, text string) {
	i := h.Index()
	switch c {
	case sim.HostStarted:
		r.end(bandDown, i, at, "")
	case sim.HostCrashed, sim.HostHalted:
		r.end(bandPaused, i, at, "")
		r.end(bandDown, i, at, "")
		r.begin(bandDown, i, at, text)
	case sim.HostPaused:
		r.begin(bandPaused, i, at, "paused")
	case sim.HostResumed:
		r.end(bandPaused, i, at, "")
	}
}

// action records a fault of the schedule as a step and as a band.
func (r *recorder) action(a *schedule.Action) {
	switch a.Verb {
	case schedule.VerbPut, schedule.VerbGet, schedule.VerbDelete, schedule.VerbCAS:
		return // LogCalled records it, when it really begins
	}
	host := -1
	if a.Host != "" {
		host = r.host(a.Host)
	}
	at := r.add(StepFault, host, actionText(a))
	link := a.Link.String()
	switch a.Verb {
	case schedule.VerbPartition:
		r.partition(at, a.Groups)
	case schedule.VerbCut:
		r.begin(bandCut, -1, at, link)
	case schedule.VerbClog:
		r.begin(bandClog, -1, at, link)
	case schedule.VerbUnclog:
		r.end(bandClog, -1, at, link)
	case schedule.VerbHeal:
		for h := -1; h < len(r.run.Hosts); h++ {
			for _, kind := range [...]string{bandCut, bandClog, bandFlaky, bandLossy} {
				r.end(kind, h, at, "")
			}
		}
	case schedule.VerbFlaky:
		if a.Link == (schedule.Link{}) {
			link = "every link"
		}
		r.end(bandFlaky, -1, at, link)
		if a.Drop|a.Duplicate|a.Delay|a.Corrupt != 0 {
			r.begin(bandFlaky, -1, at, link)
		}
	case schedule.VerbLossy:
		if a.Link == (schedule.Link{}) {
			link = "every link"
		}
		r.end(bandLossy, -1, at, link)
		if a.Rate > 0 {
			r.begin(bandLossy, -1, at, link)
		}
	case schedule.VerbBandwidth:
		r.end(bandNarrow, host, at, "")
		if a.Rate > 0 {
			r.begin(bandNarrow, host, at, fmt.Sprintf("sends %d bytes a second", a.Rate))
		}
	case schedule.VerbBusy:
		r.end(bandBusy, host, at, "")
		if a.Latency > 0 {
			r.begin(bandBusy, host, at, fmt.Sprintf("takes %v for each message", a.Latency))
		}
	case schedule.VerbSlow:
		r.end(bandSlow, host, at, "")
		if a.Latency > 0 {
			r.begin(bandSlow, host, at, fmt.Sprintf("slow by %v", a.Latency))
		}
	case schedule.VerbSlowDisk:
		r.end(bandDisk, host, at, "")
		if a.Latency > r.schedule.Shape.SyncLatency {
			r.begin(bandDisk, host, at, fmt.Sprintf("a sync takes %v", a.Latency))
		}
	case schedule.VerbFullDisk:
		r.begin(bandDisk, host, at, "disk full")
	case schedule.VerbFreeDisk:
		r.end(bandDisk, host, at, "disk full")
	}
}

// partition opens a band for each host that is cut off: those of all sides but the
// largest, and of equal ones but the first.
func (r *recorder) partition(at int, groups [][]string) {
	largest := 0
	for i := range groups {
		if len(groups[i]) > len(groups[largest]) {
			largest = i
		}
	}
	for i, group := range groups {
		if i == largest {
			continue
		}
		for _, name := range group {
			r.begin(bandCut, r.host(name), at, "cut off")
		}
	}
}

// hostTexts say what becomes of the host of an action that has nothing else to say.
var hostTexts = map[schedule.Verb]string{
	schedule.VerbCrash: " crashes", schedule.VerbRestart: " is started again", schedule.VerbWipe: " loses its disk",
	schedule.VerbPause: " stalls", schedule.VerbResume: " goes on", schedule.VerbStop: " is asked to stop",
	schedule.VerbFullDisk: "'s disk is full", schedule.VerbFreeDisk: "'s disk has room again", schedule.VerbFailSync: "'s next sync fails",
	schedule.VerbClose: " closes, and another client takes its place",
}

// actionText is an action's line as a person says it.
func actionText(a *schedule.Action) string {
	if text := hostTexts[a.Verb]; text != "" {
		return a.Host + text
	}
	switch a.Verb {
	case schedule.VerbPartition:
		sides := make([]string, len(a.Groups))
		for i, group := range a.Groups {
			sides[i] = strings.Join(group, " ")
		}
		return "a partition: " + strings.Join(sides, " | ")
	case schedule.VerbCut:
		return fmt.Sprintf("no message gets from %s to %s", a.Link.From, a.Link.To)
	case schedule.VerbHeal:
		return "the network is whole again"
	case schedule.VerbClog:
		return fmt.Sprintf("messages from %s to %s are held back", a.Link.From, a.Link.To)
	case schedule.VerbUnclog:
		return fmt.Sprintf("messages from %s to %s flow again", a.Link.From, a.Link.To)
	case schedule.VerbSlow:
		return fmt.Sprintf("%s does everything %v later", a.Host, a.Latency)
	case schedule.VerbSlowDisk:
		return fmt.Sprintf("%s's disk takes %v for a sync", a.Host, a.Latency)
	case schedule.VerbForget:
		return "an operator says that " + a.Host + "'s data is gone"
	case schedule.VerbDrain:
		return "an operator drains " + a.Host
	case schedule.VerbTerms:
		return "the manager is to start with other " + a.String()[strings.Index(a.String(), "terms"):]
	case schedule.VerbMove:
		return fmt.Sprintf("%s's data comes to %s", a.Host, a.Target)
	case schedule.VerbStall:
		return fmt.Sprintf("nothing leaves %s for %s for %v", a.Link.From, a.Link.To, a.Latency)
	case schedule.VerbMute:
		return fmt.Sprintf("the connection from %s to %s is silently dead", a.Link.From, a.Link.To)
	case schedule.VerbLossy:
		return lossyText(a)
	case schedule.VerbBandwidth:
		if a.Rate == 0 {
			return a.Host + " sends as fast as it likes again"
		}
		return fmt.Sprintf("%s sends at most %d bytes a second", a.Host, a.Rate)
	case schedule.VerbBusy:
		if a.Latency == 0 {
			return a.Host + " is not busy any more"
		}
		return fmt.Sprintf("each message costs %s %v", a.Host, a.Latency)
	case schedule.VerbStallDisk:
		return fmt.Sprintf("no sync of %s ends for %v", a.Host, a.Latency)
	}
	// All others: the line of the schedule, without "at TIME".
	text := a.String()
	if _, rest, ok := strings.Cut(text, " "); ok {
		if _, rest, ok := strings.Cut(rest, " "); ok {
			return rest
		}
	}
	return text
}

func lossyText(a *schedule.Action) string {
	where := "every link"
	if a.Link != (schedule.Link{}) {
		where = "the link from " + a.Link.From + " to " + a.Link.To
	}
	if a.Rate == 0 {
		return where + " loses no more packets"
	}
	return fmt.Sprintf("%s loses %d packets of 1000, and sends them again", where, a.Rate)
}
