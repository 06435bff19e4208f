package core

// log is a group's log. Its entries are never changed in place, so that a
// Replicate may share them with the log that it was cut from.
type log struct {
	entries []Entry // entries[i] is at seq i+1
}

func (l *log) last() Seq { return Seq(len(l.entries)) }

// at returns the entry at seq, which must be in the log.
func (l *log) at(seq Seq) *Entry { return &l.entries[seq-1] }

// mark returns the Mark of seq; that of 0, the start of every log, is zero.
func (l *log) mark(seq Seq) Mark {
	if seq == 0 {
		return Mark{}
	}
	return Mark{Epoch: l.at(seq).Epoch, Seq: seq}
}

// holds tells whether the log has the entry that m stands for.
func (l *log) holds(m Mark) bool { return m.Seq <= l.last() && l.mark(m.Seq) == m }

// append adds an entry and returns its seq.
func (l *log) append(e Entry) Seq {
	l.entries = append(l.entries, e)
	return l.last()
}

// truncate cuts off seq from and what follows. The capacity goes too: the next
// append moves to new memory, and messages that share the old stay as they are.
func (l *log) truncate(from Seq) { l.entries = l.entries[: from-1 : from-1] }

// batch returns the entries from seq from up to at most seq to, within the
// bounds of one Replicate; at least one when from is not beyond to.
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
	return l.entries[from-1 : end-1 : end-1]
}

// hint is what to answer when m is not in the log: the seq after which the
// primary should try next. It skips the whole conflicting epoch at once, but
// nothing that is known to be committed.
func (l *log) hint(m Mark, committed Seq) Seq {
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
