package fuzz

import (
	"fmt"
	"hash/fnv"
	"runtime"
	"runtime/debug"
	"sync"

	"gtstore/sim"
)

// Build says which code a search ran. What one build found out is true of no other. So an
// archive is of one build, and archives of several are not merged.
type Build struct {
	// Revision is the commit of the source, with "+changes" when the source had others on
	// top. It is "" when the go command did not note it: it does not in go run, with
	// -buildvcs=false, or outside of a checkout.
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"` // version
	// Behaviour is a hash of all that happens in some generated schedules: of what the
	// generator draws, and of every message of the core. It tells two builds apart that have
	// no Revision, or that have changes.
	Behaviour string `json:"behaviour"`
}

// behaviourSchedules is how many schedules are in Build.Behaviour.
const behaviourSchedules = 16

// ThisBuild is the build of this process.
var ThisBuild = sync.OnceValue(func() Build {
	b := Build{Go: runtime.Version(), Behaviour: behaviour()}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.Revision = revisionOf(info)
	}
	return b
})

func behaviour() string {
	h := fnv.New64a()
	for i := range behaviourSchedules {
		s := Schedule(canarySeed, i)
		fmt.Fprintf(h, "%s%x", s, Check(s, sim.RunOptions{FullHash: true}).Hash)
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

func revisionOf(info *debug.BuildInfo) string {
	revision, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+changes"
		}
	}
	if revision == "" {
		return ""
	}
	return revision + changed
}

func (b Build) String() string {
	revision := b.Revision
	if revision == "" {
		revision = "without a revision"
	}
	return fmt.Sprintf("%s, behaviour %s, %s", revision, b.Behaviour, b.Go)
}
