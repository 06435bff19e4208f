package mutants

import "testing"

// TestQuorumMutants: the tests of package quorum catch every mutant of it.
func TestQuorumMutants(t *testing.T) {
	fallToTests(t, len(ofQuorum), func(i int) (*Mutant, string, string) { return &ofQuorum[i], "./core/quorum", "" })
}
