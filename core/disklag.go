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

func (d *diskLag) lag(now Time) time.Duration {
	if !d.owed {
		return 0
	}
	return now.Since(d.since)
}
