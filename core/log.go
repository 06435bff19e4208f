package core

// log is the part of a group's log that is kept. The part up to base is committed: it
// was trimmed, or its state came as a snapshot. Entries are never changed in place, so
// a Replicate may share them with the log that it was cut from.
type log struct {
	base    EntryID
	entries []Entry // entries[i] is at seq base.Seq+1+i
}

func (l *log) last() Seq { return l.base.Seq + Seq(len(l.entries)) }

// at returns the entry at seq, which must be in the log and after its base.
func (l *log) at(seq Seq) *Entry { return &l.entries[seq-l.base.Seq-1] }

// id returns the EntryID of seq, which must not be before the base; that of 0,
// the start of every log, is zero.
func (l *log) id(seq Seq) EntryID {
	if seq == l.base.Seq {
		return l.base
	}
	return EntryID{Epoch: l.at(seq).Epoch, Seq: seq}
}

// holds tells whether the log has the entry that m stands for. What was trimmed
// was committed, and there is only one of that.
func (l *log) holds(m EntryID) bool {
	return m.Seq < l.base.Seq || m.Seq <= l.last() && l.id(m.Seq) == m
}

// append adds an entry and returns its seq.
func (l *log) append(e Entry) Seq {
	l.entries = append(l.entries, e)
	return l.last()
}

// truncate cuts off seq from and what follows. The capacity goes too: the next
// append moves to new memory, and messages that share the old stay as they are.
func (l *log) truncate(from Seq) {
	n := from - l.base.Seq - 1
	l.entries = l.entries[:n:n]
}

// trim forgets the entries up to seq. The rest moves to memory of its own.
func (l *log) trim(to Seq) {
	base := l.id(to)
	l.entries = append([]Entry(nil), l.entries[to-l.base.Seq:]...)
	l.base = base
}

// batch returns the entries from seq from to seq to, or as many of them as fit in one
// Replicate. from must be after the base. There is at least one entry when from is
// beyond neither to nor the end of the log.
func (l *log) batch(from, to Seq) []Entry {
	if to > l.last() {
		to = l.last()
	}
	if from > to {
		return nil
	}
	if to >= from+BatchEntriesMax {
		to = from + BatchEntriesMax - 1
	}
	bytes, end := 0, from
	for ; end <= to; end++ {
		bytes += l.at(end).bytes()
		if bytes > BatchBytesMax && end > from {
			break
		}
	}
	from, end = from-l.base.Seq-1, end-l.base.Seq-1
	return l.entries[from:end:end]
}

// hint returns the seq after which the primary should try next, for an m that is not
// in the log. It goes back over the whole conflicting epoch at once, but not over
// entries that are known to be committed.
func (l *log) hint(m EntryID, committed Seq) Seq {
	if m.Seq > l.last() {
		return l.last()
	}
	conflicting := l.at(m.Seq).Epoch
	seq := m.Seq - 1
	for seq > committed && l.at(seq).Epoch == conflicting {
		seq--
	}
	return seq
}

// bytes is the size of the entry's user data.
func (e *Entry) bytes() int { return len(e.Key) + len(e.Value) }
