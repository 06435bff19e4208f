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

// shortenLease lowers the longest lease that this node may have granted, once what was
// granted by longer ones is over. Otherwise every start would wait for such a lease, also
// when its groups have had shorter ones, or none, for years.
func (s *Storage) shortenLease() {
	longest := time.Duration(0)
	for _, g := range s.groups {
		lease := time.Duration(0)
		if g.config.names(s.self.ID) {
			lease = g.config.Lease
		}
		if g.grantUntil > s.now.After(grant(lease, s.opt.DriftPPM)) {
			return
		}
		longest = max(longest, lease)
	}
	if longest < s.leaseMax {
		s.leaseMax = longest
		s.persistIdentity()
	}
}

// grant returns how long a replica keeps its promise to a primary that counts
// on a lease of length l: G ≥ L·(1+ρ)/(1−ρ), for clocks that drift by at most
// ρ in parts per million (rule R9).
func grant(l time.Duration, driftPPM int64) time.Duration {
	const million = 1_000_000
	slow := time.Duration(million - driftPPM)
	return (l*time.Duration(million+driftPPM) + slow - 1) / slow
}
