package bounds

// Ledger remembers until when hosts and links were beyond the bounds. Hosts go by
// their index, and times are virtual, in nanoseconds since the start of the run.
type Ledger struct {
	hosts  []int64
	links  map[int]int64 // by from·hosts + to; nil before the first
	begins []int64       // of a host's last pause, or stall
	ends   []int64
	left   bool
}

const neverYet = -1

// NewLedger is of so many hosts, of which none has been beyond the bounds.
func NewLedger(hosts int) Ledger {
	all := make([]int64, 3*hosts)
	for i := range all {
		all[i] = neverYet
	}
	return Ledger{hosts: all[:hosts], begins: all[hosts : 2*hosts], ends: all[2*hosts:]}
}

// Left reports that something was beyond the bounds in this run.
func (l *Ledger) Left() bool { return l.left }

// Leave notes that something was beyond the bounds that is no single host's or link's.
func (l *Ledger) Leave() { l.left = true }

// Host notes that a host is beyond the bounds until a time.
func (l *Ledger) Host(h int, until int64) {
	l.hosts[h] = max(l.hosts[h], until)
	l.left = true
}

// Link notes that a link is beyond the bounds until a time.
func (l *Ledger) Link(from, to int, until int64) {
	if l.links == nil {
		l.links = make(map[int]int64)
	}
	at := from*len(l.hosts) + to
	if last, noted := l.links[at]; !noted || until > last {
		l.links[at] = until
	}
	l.left = true
}

// Hiccup holds a pause or a stall that begins now, at a host, its disk or one of
// its links, against the bounds: what follows another too soon adds up with it. What
// begins at the same moment is one and the same.
func (l *Ledger) Hiccup(h int, now, took int64) {
	begin, end := &l.begins[h], &l.ends[h]
	if *end != neverYet && *begin != now && now-*end < int64(PauseGap) {
		l.Host(h, now+took)
	}
	*begin, *end = now, max(*end, now+took)
}

// Paused holds a pause that ends now against the bounds.
func (l *Ledger) Paused(h int, now, took int64) {
	if took > int64(PauseMax) {
		l.Host(h, now)
	}
	l.ends[h] = max(l.ends[h], now)
}

// LinkStall holds a link's stall that begins now against the bounds.
func (l *Ledger) LinkStall(from, to int, now, took int64) {
	if took > int64(StallMax) {
		l.Link(from, to, now+took)
	}
	l.Hiccup(from, now, took)
	l.Hiccup(to, now, took)
}

// DiskStall does the same for a disk's.
func (l *Ledger) DiskStall(h int, now, took int64) {
	if took > int64(DiskMax) {
		l.Host(h, now+took)
	}
	l.Hiccup(h, now, took)
}

// HadHiccup tells whether a host's last hiccup is under way, or ended a moment ago.
func (l *Ledger) HadHiccup(h int, now int64) bool {
	end := l.ends[h]
	return end != neverYet && now-end <= int64(PauseGap)
}

// HostQuiet tells whether a host was within the bounds for the whole Horizon.
func (l *Ledger) HostQuiet(h int, now int64) bool { return past(l.hosts[h], now) }

// LinkQuiet tells the same of a link.
func (l *Ledger) LinkQuiet(from, to int, now int64) bool {
	at, noted := l.links[from*len(l.hosts)+to]
	return !noted || past(at, now)
}

// HostSince is until when a host was beyond the bounds, or paused or stalled, the last time.
func (l *Ledger) HostSince(h int) int64 { return max(l.hosts[h], l.ends[h], 0) }

// LinkSince is until when a link was beyond the bounds the last time.
func (l *Ledger) LinkSince(from, to int) int64 { return l.links[from*len(l.hosts)+to] }

func past(at, now int64) bool { return at == neverYet || now-at > int64(Horizon) }
