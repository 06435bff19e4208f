package identity

import "time"

// SetEvery sets how long sources wait between two looks at their files.
func SetEvery(every time.Duration, sources ...*Source) {
	for _, s := range sources {
		s.every = every
		s.lookAt.Store(0)
	}
}

// SetNow sets the clock of sources.
func SetNow(now func() time.Time, sources ...*Source) {
	for _, s := range sources {
		s.now = now
	}
}
