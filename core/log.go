package core

// log is the part of a group's log that is kept. The part up to base is committed: it
// was trimmed, or its state came as a snapshot. Entries are never changed in place, so
// a Replicate may share them with the log that it was cut from.
type log struct {
	base    EntryID
	entries []Entry // entries[i] is at seq base.Seq+1+i
	bytes   int     // of user data in entries
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
	l.bytes += e.bytes()
	return l.last()
}

// truncate cuts off seq from and what follows. The capacity goes too: the next
// append moves to new memory, and messages that share the old stay as they are.
func (l *log) truncate(from Seq) {
	n := from - l.base.Seq - 1
	l.bytes -= size(l.entries[n:])
	l.entries = l.entries[:n:n]
}

// trim forgets the entries up to seq. The rest moves to memory of its own.
func (l *log) trim(to Seq) {
	base := l.id(to)
	l.bytes -= size(l.entries[:to-l.base.Seq])
	l.entries = append([]Entry(nil), l.entries[to-l.base.Seq:]...)
	l.base = base
}

// excess returns up to where to trim a log of which only what comes after seq is needed.
// The last entries up to there stay all the same: at most keep of them, of at most
// keepBytes. It returns the base while a trim would not be worth the copy.
func (l *log) excess(seq, keep Seq, keepBytes int) Seq {
	many := seq > l.base.Seq+2*keep
	if seq <= l.base.Seq || !many && l.bytes <= 2*keepBytes {
		return l.base.Seq
	}
	to, stay := seq, 0
	for to > l.base.Seq && seq-to < keep && stay+l.at(to).bytes() <= keepBytes {
		stay += l.at(to).bytes()
		to--
	}
	if !many && size(l.entries[:to-l.base.Seq]) < keepBytes {
		return l.base.Seq
	}
	return to
}

// size is how many bytes of user data the entries have.
func size(entries []Entry) (bytes int) {
	for i := range entries {
		bytes += entries[i].bytes()
	}
	return bytes
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
