package core

import "time"

// diskLag measures how long a sync takes, one at a time.
type diskLag struct {
	nonce uint64
	owed  bool
	since Time
}

// watch starts a measurement when the Output has something to make durable.
func (d *diskLag) watch(s *Storage) {
	if d.owed || len(s.out.Persist) == 0 {
		return
	}
	d.nonce++
	d.owed, d.since = true, s.now
	s.after(s.self, &Synced{Nonce: d.nonce})
}

func (d *diskLag) onSynced(m *Synced) {
	if m.Nonce == d.nonce {
		d.owed = false
	}
}

// DiskLate is how long a command of the manager may wait for its sync before that is told:
// a disk that hangs would not be noticed otherwise, as the manager answers all the same.
const DiskLate = time.Second

// diskLag is how long the oldest command that is not durable yet has waited.
func (m *Manager) diskLag() time.Duration {
	if len(m.underWay) == 0 {
		return 0
	}
	return m.now.Since(m.underWay[0])
}

// tellDiskLate says when the disk begins to be late, and when that is over.
func (m *Manager) tellDiskLate() {
	late := m.diskLag() >= DiskLate
	switch {
	case late && !m.late:
		m.event(Event{Kind: EventDiskLate})
	case !late && m.late:
		m.event(Event{Kind: EventDiskInTime})
	}
	if m.late = late; !late && len(m.underWay) > 0 {
		m.wakeBy(m.underWay[0].After(DiskLate))
	}
}

func (d *diskLag) lag(now Time) time.Duration {
	if !d.owed {
		return 0
	}
	return now.Since(d.since)
}
