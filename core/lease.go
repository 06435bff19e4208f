package core

import "time"

// leaseLives tells whether every required member has promised to follow nobody
// else for now. A primary whose epoch is not durable could forget it and grant
// again, so it does not count on leases yet.
func (g *group) leaseLives() bool { return g.leaseLivesAt(g.s.now) }

func (g *group) leaseLivesAt(now Time) bool {
	t := g.tenure
	return t != nil && t.reconciled && g.config.Reads == ReadLease && g.durable >= g.config.Epoch && t.followers.promised(now)
}

// grant returns how long a replica keeps its promise to a primary that counts
// on a lease of length l: G ≥ L·(1+ρ)/(1−ρ), for clocks that drift by at most
// ρ in parts per million (rule R9).
func grant(l time.Duration, driftPPM int64) time.Duration {
	const million = 1_000_000
	slow := time.Duration(million - driftPPM)
	return (l*time.Duration(million+driftPPM) + slow - 1) / slow
}
