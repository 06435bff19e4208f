package shrink

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"gtstore/core"
	"gtstore/sim/schedule"
)

// Schedule returns the smallest schedule it finds for which fails is true. It takes s to
// fail, and does not change it. It removes actions and deviations by halves, quarters
// and so on (delta debugging: Zeller and Hildebrandt, IEEE TSE 2002), then hosts, and
// then makes what is left simpler. It begins anew until nothing helps any more, or until
// fails was called budget times. Only valid schedules are tried, and none twice. Their
// order depends only on s and on what fails returned.
func Schedule(s *schedule.Schedule, fails func(*schedule.Schedule) bool, budget int) *schedule.Schedule {
	k := &shrinker{best: s.Clone(), fails: fails, left: budget, tried: map[string]bool{s.String(): true}}
	k.best.Recorded = nil // a smaller schedule runs differently
	for before := ""; k.left > 0 && before != k.best.String(); {
		before = k.best.String()
		k.removeChunks()
		k.removePairs()
		k.removeHosts()
		k.simplifyShape()
		k.simplifyActions()
		k.simplifyDeviations()
		k.shortenGaps()
	}
	return k.best
}

type shrinker struct {
	best  *schedule.Schedule
	fails func(*schedule.Schedule) bool
	left  int             // how many more calls of fails there may be
	tried map[string]bool // the texts of the schedules tried
}

// try applies change to the best schedule, and keeps the result if it fails, too.
func (k *shrinker) try(change func(*schedule.Schedule)) bool {
	c := k.best.Clone()
	change(c)
	text := c.String()
	if k.left <= 0 || k.tried[text] || c.Validate() != nil {
		return false
	}
	k.tried[text] = true
	k.left--
	if !k.fails(c.Clone()) { // a clone: fails may change what it runs
		return false
	}
	k.best = c
	return true
}

// remove takes lines [from, to) out of a schedule. The actions are counted first, then
// the deviations.
func remove(s *schedule.Schedule, from, to int) {
	n := len(s.Actions)
	s.Actions = slices.Delete(s.Actions, min(from, n), min(to, n))
	s.Deviate = slices.Delete(s.Deviate, max(from, n)-n, max(to, n)-n)
}

// removeChunks begins at the end. What comes after the failure is of no use, while what
// comes before it often is.
func (k *shrinker) removeChunks() {
	for size := k.best.Size(); size > 0; size /= 2 {
		for to := k.best.Size(); to > 0 && k.left > 0; to -= size {
			k.try(func(s *schedule.Schedule) { remove(s, max(0, to-size), to) })
		}
	}
}

// removePairs takes out two lines at once. Those that belong together, such as a pause
// and its resume, cannot always go one by one. A long schedule has too many pairs to try.
func (k *shrinker) removePairs() {
	const sizeMax = 24
	if k.best.Size() > sizeMax {
		return
	}
	for j := k.best.Size() - 1; j > 0; j-- {
		for i := j - 1; i >= 0 && j < k.best.Size(); i-- {
			k.try(func(s *schedule.Schedule) {
				remove(s, j, j+1)
				remove(s, i, i+1)
			})
		}
	}
}

// removeHosts takes out storage nodes and clients, with all lines that name them. Where
// a client cannot go so, another client takes over its calls.
func (k *shrinker) removeHosts() {
	if k.best.Shape.Managers > 1 {
		k.try(oneManager)
	}
	for i := k.best.Shape.Managers; i > 2; i-- {
		k.try(func(s *schedule.Schedule) { removeHost(s, schedule.ManagerHost, i, &s.Shape.Managers) })
	}
	for i := k.best.Shape.Nodes; i > 0; i-- {
		k.try(func(s *schedule.Schedule) { removeHost(s, "n", i, &s.Shape.Nodes) })
	}
	for i := k.best.Shape.Clients; i > 0; i-- {
		if k.try(func(s *schedule.Schedule) { removeHost(s, "c", i, &s.Shape.Clients) }) {
			continue
		}
		for j := 1; j < i; j++ {
			merged := k.try(func(s *schedule.Schedule) {
				for a := range s.Actions {
					if act := &s.Actions[a]; act.Host == numberedName("c", i) {
						act.Host = numberedName("c", j)
					}
				}
				removeHost(s, "c", i, &s.Shape.Clients)
			})
			if merged {
				break
			}
		}
	}
}

func numberedName(prefix string, i int) string { return prefix + strconv.Itoa(i) }

// oneManager has one manager in place of several. What happens to any of them happens to
// that one.
func oneManager(s *schedule.Schedule) {
	one := func(names ...*string) {
		for _, name := range names {
			if strings.HasPrefix(*name, schedule.ManagerHost) {
				*name = schedule.ManagerHost
			}
		}
	}
	s.Shape.Managers = 1
	seen := map[string]bool{}
	s.Shape.Clocks = keepIf(s.Shape.Clocks, func(c *schedule.Clock) bool {
		one(&c.Host)
		again := seen[c.Host]
		seen[c.Host] = true
		return !again
	})
	s.Deviate = keepIf(s.Deviate, func(d *schedule.Deviation) bool {
		one(&d.Link.From, &d.Link.To)
		return d.Link.From != d.Link.To
	})
	s.Actions = keepIf(s.Actions, func(a *schedule.Action) bool {
		one(&a.Host, &a.Link.From, &a.Link.To)
		for _, group := range a.Groups {
			for j := range group {
				one(&group[j])
			}
		}
		return a.Link.From == "" || a.Link.From != a.Link.To
	})
}

// removeHost removes the i-th of count hosts of a kind, and everything that names it. The
// hosts after it get the number before their own.
func removeHost(s *schedule.Schedule, prefix string, i int, count *int) {
	names := map[string]string{numberedName(prefix, i): ""}
	for j := i + 1; j <= *count; j++ {
		names[numberedName(prefix, j)] = numberedName(prefix, j-1)
	}
	*count--
	gone := func(hosts ...*string) (any bool) {
		for _, host := range hosts {
			if name, ok := names[*host]; ok {
				any = any || name == ""
				*host = name
			}
		}
		return any
	}
	s.Unhealed = keepIf(s.Unhealed, func(host *string) bool { return !gone(host) })
	s.Shape.Clocks = keepIf(s.Shape.Clocks, func(c *schedule.Clock) bool { return !gone(&c.Host) })
	s.Deviate = keepIf(s.Deviate, func(d *schedule.Deviation) bool { return !gone(&d.Link.From, &d.Link.To) })
	s.Actions = keepIf(s.Actions, func(a *schedule.Action) bool {
		for i := range a.Groups {
			a.Groups[i] = keepIf(a.Groups[i], func(host *string) bool { return !gone(host) })
		}
		a.Groups = keepIf(a.Groups, func(group *[]string) bool { return len(*group) > 0 })
		return !gone(&a.Host, &a.Link.From, &a.Link.To, &a.Target) && (a.Verb != schedule.VerbPartition || len(a.Groups) > 1)
	})
}

// keepIf returns the items for which keep is true, in the same array. keep may change
// its item.
func keepIf[T any](items []T, keep func(*T) bool) []T {
	kept := items[:0]
	for i := range items {
		item := items[i]
		if keep(&item) {
			kept = append(kept, item)
		}
	}
	return kept
}

func (k *shrinker) simplifyShape() {
	calm := schedule.DefaultShape()
	for _, change := range []func(*schedule.Shape){
		func(sh *schedule.Shape) {
			sh.Seed, sh.LatencyMin, sh.LatencyMax = calm.Seed, calm.LatencyMin, calm.LatencyMax
		},
		func(sh *schedule.Shape) { sh.Seed = calm.Seed },
		func(sh *schedule.Shape) { sh.LatencyMin, sh.LatencyMax = calm.LatencyMin, calm.LatencyMax },
		func(sh *schedule.Shape) { sh.LatencyMax = sh.LatencyMin },
		func(sh *schedule.Shape) { sh.Connect = calm.Connect },
		func(sh *schedule.Shape) { sh.Connect = min(sh.Connect, 1) },
		func(sh *schedule.Shape) { sh.Clocks = nil },
		func(sh *schedule.Shape) { sh.Batch = calm.Batch },
		func(sh *schedule.Shape) { sh.Width = calm.Width },
		func(sh *schedule.Shape) { sh.SyncLatency = calm.SyncLatency },
		func(sh *schedule.Shape) { sh.OpTimeout = calm.OpTimeout },
		func(sh *schedule.Shape) { sh.MinChain = calm.MinChain },
		func(sh *schedule.Shape) { sh.LogKeep = calm.LogKeep },
		func(sh *schedule.Shape) { sh.Commands = calm.Commands },
		func(sh *schedule.Shape) { sh.Placement = calm.Placement },
		func(sh *schedule.Shape) { sh.Sessions = calm.Sessions },
		func(sh *schedule.Shape) { sh.Limits = calm.Limits },
		func(sh *schedule.Shape) { sh.Limits.Pending = calm.Limits.Pending },
		func(sh *schedule.Shape) { sh.Limits.Reads = calm.Limits.Reads },
		func(sh *schedule.Shape) { sh.Limits.Parked = calm.Limits.Parked },
		func(sh *schedule.Shape) { sh.Limits.JoinRate = calm.Limits.JoinRate },
		func(sh *schedule.Shape) { sh.Limits.SessionTTL = calm.Limits.SessionTTL },
		func(sh *schedule.Shape) { sh.Limits.SessionIdle = calm.Limits.SessionIdle },
		func(sh *schedule.Shape) { sh.Chunk = calm.Chunk },
		func(sh *schedule.Shape) { sh.Quarantine = calm.Quarantine },
		func(sh *schedule.Shape) { sh.Halt = calm.Halt },
		func(sh *schedule.Shape) { sh.Reads = core.ReadConfirm },
		func(sh *schedule.Shape) { sh.Durable = calm.Durable },
		func(sh *schedule.Shape) { fewerReplicas(sh, min(sh.Replicas, 1)) },
		func(sh *schedule.Shape) { fewerReplicas(sh, min(sh.Replicas, 2)) },
		func(sh *schedule.Shape) { fewerReplicas(sh, max(0, sh.Replicas-1)) },
	} {
		k.try(func(s *schedule.Schedule) { change(&s.Shape) })
	}
	k.try(func(s *schedule.Schedule) { s.Unhealed = nil })
	for i := len(k.best.Unhealed) - 1; i >= 0; i-- {
		if i < len(k.best.Unhealed) {
			k.try(func(s *schedule.Schedule) { s.Unhealed = slices.Delete(s.Unhealed, i, i+1) })
		}
	}
	for i := len(k.best.Shape.Clocks) - 1; i >= 0; i-- {
		if i >= len(k.best.Shape.Clocks) {
			continue
		}
		if !k.try(func(s *schedule.Schedule) { s.Shape.Clocks = slices.Delete(s.Shape.Clocks, i, i+1) }) {
			k.try(func(s *schedule.Schedule) { s.Shape.Clocks[i].Offset = 0 })
			k.try(func(s *schedule.Schedule) { s.Shape.Clocks[i].PPM = 0 })
		}
	}
}

func fewerReplicas(sh *schedule.Shape, n int) {
	sh.Replicas = n
	sh.MinChain = min(sh.MinChain, n+1)
}

// simplifyActions makes actions simpler, and removes none: the indices stay good.
func (k *shrinker) simplifyActions() {
	key := ""
	for i := range k.best.Actions {
		a := k.best.Actions[i]
		for _, change := range []func(*schedule.Action){
			func(a *schedule.Action) { a.Keep = 0 },
			func(a *schedule.Action) { a.Torn = 0 },
			func(a *schedule.Action) { a.Record = 0 },
			func(a *schedule.Action) {
				a.Drop, a.Duplicate, a.Delay, a.Corrupt, a.DelayMax = min(a.Drop, 1)*1000, 0, 0, 0, 0
			},
			func(a *schedule.Action) { a.Drop = 0 },
			func(a *schedule.Action) { a.Duplicate = 0 },
			func(a *schedule.Action) { a.Delay, a.DelayMax = 0, 0 },
			func(a *schedule.Action) { a.Corrupt = 0 },
			func(a *schedule.Action) { a.Terms.Reads = 0 },
			func(a *schedule.Action) { a.Terms.Lease = 0 },
			func(a *schedule.Action) { a.Terms.MinChain = 0 },
			func(a *schedule.Action) { a.Size = 0 },
			func(a *schedule.Action) { a.Size /= 2 },
			shorten,
			shorten,
		} {
			k.try(func(s *schedule.Schedule) { change(&s.Actions[i]) })
		}
		for g := range a.Groups {
			for h := len(a.Groups[g]) - 1; h >= 0; h-- {
				k.try(func(s *schedule.Schedule) { s.Actions[i].Groups[g] = slices.Delete(s.Actions[i].Groups[g], h, h+1) })
			}
		}
		if a.Key == "" {
			continue
		}
		if key == "" {
			key = a.Key
		}
		if other := a.Key; other != key { // the schedule may need no second key
			k.try(func(s *schedule.Schedule) {
				for j := range s.Actions {
					if s.Actions[j].Key == other {
						s.Actions[j].Key = key
					}
				}
			})
		}
	}
}

// shorten halves the time for which a stall lasts, and rounds it.
func shorten(a *schedule.Action) {
	switch a.Verb {
	case schedule.VerbStall, schedule.VerbStallDisk:
		a.Latency = max(time.Millisecond, (a.Latency / 2).Truncate(10*time.Millisecond))
	}
}

// simplifyDeviations has a message lost instead of late, repeated or corrupted.
func (k *shrinker) simplifyDeviations() {
	for i := range k.best.Deviate {
		k.try(func(s *schedule.Schedule) { s.Deviate[i].Fate, s.Deviate[i].By = schedule.FateDrop, 0 })
	}
}

// shortenGaps moves an action, and all after it, nearer to the one before. The gaps that
// it tries are round, since these read best.
func (k *shrinker) shortenGaps() {
	for i := range k.best.Actions {
		last := time.Duration(0)
		if i > 0 {
			last = k.best.Actions[i-1].At
		}
		gap := k.best.Actions[i].At - last
		for _, shorter := range []time.Duration{
			0, time.Millisecond, 10 * time.Millisecond, gap / 4, gap / 2, gap * 3 / 4, gap,
		} {
			if shorter >= 10*time.Millisecond {
				shorter = shorter.Truncate(10 * time.Millisecond)
			} else {
				shorter = shorter.Truncate(time.Millisecond)
			}
			if shorter < gap && k.try(func(s *schedule.Schedule) { shift(s.Actions[i:], shorter-gap) }) {
				break
			}
		}
	}
}

func shift(actions []schedule.Action, by time.Duration) {
	for i := range actions {
		actions[i].At += by
	}
}
