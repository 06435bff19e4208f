package explore

// chunk holds some states of a level, one behind the other. Chunks are what workers take
// and hand over, and they have no pointers that the collector of garbage would follow.
type chunk struct {
	bytes  []byte
	ends   []uint32 // of each state in bytes
	prints []uint64
}

const (
	chunkBytes  = 1 << 16
	chunkStates = 1 << 10
)

func (c *chunk) fits(state []byte) bool {
	return len(c.bytes)+len(state) <= cap(c.bytes) && len(c.ends) < chunkStates
}

func (c *chunk) add(print uint64, state []byte) {
	c.bytes = append(c.bytes, state...)
	c.ends = append(c.ends, uint32(len(c.bytes)))
	c.prints = append(c.prints, print)
}

// at returns the i-th state. It may not be changed.
func (c *chunk) at(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = c.ends[i-1]
	}
	return c.bytes[from:c.ends[i]:c.ends[i]]
}

// chunkSize is how much memory a chunk takes with room for so many bytes.
func chunkSize(bytes int) int64 { return int64(bytes + 12*chunkStates) }

// newChunk returns an empty chunk for a state of that size, perhaps a used one. Its memory
// counts against the bound: it returns nil, and the search ends, where that would be exceeded.
func (s *search) newChunk(stateBytes int) *chunk {
	s.mu.Lock()
	if n := len(s.spare); n > 0 && stateBytes <= chunkBytes {
		c := s.spare[n-1]
		s.spare = s.spare[:n-1]
		s.mu.Unlock()
		return c
	}
	s.mu.Unlock()
	bytes := max(chunkBytes, stateBytes)
	if size := chunkSize(bytes); s.table.used.Add(size) > s.table.most.Load() {
		s.table.used.Add(-size)
		s.full.Store(true)
		return nil
	}
	return &chunk{bytes: make([]byte, 0, bytes), ends: make([]uint32, 0, chunkStates), prints: make([]uint64, 0, chunkStates)}
}

// push puts a chunk on the next level.
func (s *search) push(c *chunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = append(s.next, c)
}

// take takes a chunk of the level that is searched, nil when there is none left.
func (s *search) take() *chunk {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.level)
	if n == 0 {
		return nil
	}
	c := s.level[n-1]
	s.level = s.level[:n-1]
	return c
}

// release gives back a chunk whose states were searched.
func (s *search) release(c *chunk) {
	c.bytes, c.ends, c.prints = c.bytes[:0], c.ends[:0], c.prints[:0]
	s.mu.Lock()
	defer s.mu.Unlock()
	if cap(c.bytes) > chunkBytes {
		s.table.used.Add(-chunkSize(cap(c.bytes)))
		return
	}
	s.spare = append(s.spare, c)
}

// count is how many states the chunks hold.
func count(chunks []*chunk) (n int64) {
	for _, c := range chunks {
		n += int64(len(c.ends))
	}
	return n
}
