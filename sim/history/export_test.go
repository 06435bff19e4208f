package history

// Swept is what the sweep finds out about the operations on one key. It is for tests
// outside this package: those that need the simulator, which imports this package.
type Swept struct {
	Possible, Explained, Unexplained bool
	Absences, Puts, Deletes          int
	Steps                            int
	UnderWay                         int // the most operations at once
}

// SweepKey has the sweep judge the operations on one key.
func SweepKey(ops []Operation, key string) Swept {
	_, byKey := operationsByKey(ops)
	s := &sweep{}
	if !s.collect(byKey[key]) {
		return Swept{}
	}
	v := s.run(sweepStepsMax)
	return Swept{
		true, v == explained, v == unexplained,
		len(s.absences), len(s.calls[classPut]), len(s.calls[classDelete]), s.steps, underWayMax(byKey[key]),
	}
}

// underWayMax is the most operations that were under way at once.
func underWayMax(ops []*Operation) int {
	most := 0
	for _, a := range ops {
		n := 0
		for _, b := range ops {
			if b.CallOrder <= a.CallOrder && a.CallOrder < b.ReturnOrder {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}
