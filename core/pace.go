package core

import "time"

// How often the manager pings. It looks at its nodes in rounds, one each PingInterval, and
// pings all of them in each round while they are few. More than pingsMax allows are pinged in
// shares: each round pings one share, and a node's turn comes with every m.shares-th round.
// The time between two pings of a node is the interval in effect, m.shares*PingInterval. All
// else that the manager does goes on in each round.
//
// What silence means has to follow. A bound on silence grows by what the interval in effect
// is longer than PingInterval, since a node that dies may be pinged so much later, and by no
// more. The pings that a bound counts are those of PingInterval: a missed ping counts for the
// rounds that it stood for. What has nothing to do with pings (questions in an inquiry,
// reports, the manager's own stalls) keeps its time.
const (
	// pingsMax bounds the pings that the manager sends in a second. The first ping of a node
	// that registers is not counted: it goes out at once.
	pingsMax = 20_000

	// A node outside all groups that has missed missesSeldom pings gets only every
	// pingsSeldom-th one. Most such nodes are gone for good, and over the years they get many.
	// A node that restarts registers by itself. One that hears the pings, but was not heard,
	// does not know that it was missed, so it must still be pinged.
	missesSeldom = 20
	pingsSeldom  = 10
)

// share counts whom to ping, and divides them into as few shares as pingsMax allows.
func (m *Manager) share() {
	pings := 0 // tenths of one
	for _, c := range m.contacts {
		switch {
		case c.node.gone:
		case c.seldom():
			pings++
		default:
			pings += pingsSeldom
		}
	}
	most := pingsSeldom * int(pingsMax*m.opt.PingInterval/time.Second)
	m.shares = max(1, (pings+most-1)/most)
}

// hasTurn tells whether a node is pinged in this round. The turn of a node stays when others
// are taken off the list: else it could move ahead of the rounds for as long as they go.
func (m *Manager) hasTurn(c *contact) bool {
	return (m.rounds+c.turn)%m.shares == 0 && !(c.seldom() && (m.rounds/m.shares+c.node.number)%pingsSeldom != 0)
}

// seldom tells whether a node gets only every pingsSeldom-th ping.
func (c *contact) seldom() bool { return c.missed >= missesSeldom && c.node.isSpare() }

// later is by how much a node may be pinged later than with every round.
func (m *Manager) later() time.Duration { return time.Duration(m.shares-1) * m.opt.PingInterval }

// missesTime is how long a node has answered nothing when it has missed MissesMax pings.
func (m *Manager) missesTime() time.Duration {
	return time.Duration(m.opt.MissesMax)*m.opt.PingInterval + m.later()
}

// answers tells whether the node answered recently, from the address at which it is
// registered, and that does not refuse, nor answer as another node.
func (m *Manager) answers(c *contact) bool { return m.answersAt(c, m.now) }

func (m *Manager) answersAt(c *contact, now Time) bool {
	return c.proven && now.Since(c.answeredAt) <= m.recent(c)+m.opt.PingInterval && c.evidence.refusedSince == Never && c.evidence.otherSince == Never
}

// silent tells whether the node has missed so many pings that it is worth an
// inquiry. One that has never answered gets the time of a first round trip.
func (m *Manager) silent(c *contact) bool {
	return c.missed >= m.opt.MissesMax && m.now.Since(c.answeredAt) >= m.recent(c) && (c.trips.known() || m.now.Since(c.since) >= firstPatience)
}

// recent is how old the last answer of a node that is well can be: MissesMax pings, and
// more where round trips vary.
func (m *Manager) recent(c *contact) time.Duration {
	return m.missesTime() + min(4*c.trips.deviation, patienceMax)
}

// hushed tells whether a node has missed a ping, or would have if it were pinged in each
// round: a report about it is then not asked into any later in a large cluster.
func (m *Manager) hushed(c *contact) bool {
	return c.missed > 0 || m.shares > 1 && m.now.Since(c.answeredAt) >= 2*m.opt.PingInterval
}

// silentTill is until when a node that answers nothing has time: for silenceMin pings, and
// longer if its answers came late lately. They count from its last answer, or if the next
// ping comes later than with every round, from that ping, or from the question for proof if
// that is before it.
func (m *Manager) silentTill(c *contact, asked Time) Time {
	first := min(max(asked.Since(c.answeredAt), m.opt.PingInterval), m.opt.PingInterval+m.later())
	late := min(max(2*c.trips.mean+4*c.trips.deviation, c.trips.longest), patienceMax)
	return c.answeredAt.After(first + (silenceMin-1)*m.opt.PingInterval + late)
}
