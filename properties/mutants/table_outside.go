package mutants

// Why no simulated run can come to what a rule is for.
const (
	strangers = "nobody lies in a run: TestHostileMessagesHarmNobody draws what strangers say"
	backups   = "nobody makes a backup in a run"
	thousands = "it takes more nodes than a run has, or more than they do in its seconds"
	sizes     = "it takes more, or other, keys and values than a run has"
)

// outside are the mutants that no simulated run can notice, and why. They are about what may come
// from outside of a cluster, or in one of another size: so they do not count as rules of the
// protocol that a search is to find.
var outside = map[string]string{
	"anybody-stops-a-node":      strangers,
	"registered-by-anybody":     strangers,
	"registered-in-its-name":    strangers,
	"pong-without-token":        strangers,
	"farewell-without-token":    strangers,
	"invented-nodes-used":       strangers,
	"committed-entries-denied":  strangers,
	"member-amid-a-snapshot":    strangers,
	"ranges-not-checked":        strangers,
	"session-of-anybody":        strangers,
	"anybody-sends-elsewhere":   strangers,
	"halts-for-another-cluster": strangers,
	"another-placement-taken":   strangers,

	"part-without-a-round":      backups,
	"backup-in-another-tenure":  backups,
	"log-not-kept-for-a-backup": backups,

	"list-never-forgets":          thousands,
	"retired-though-started-anew": thousands,
	"dead-never-pinged":           thousands,
	"pings-without-bound":         thousands,
	"later-ping-is-silence":       thousands,
	"turn-lost":                   thousands,
	"crowd-believed":              thousands,
	"one-witness-for-all":         thousands,
	"one-is-asked-about-all":      thousands,
	"lost-for-want-of-asking":     thousands,
	"pending-without-bound":       thousands,

	"log-of-any-size": sizes,
	"tags-not-seen":   sizes,
}

// Outside says why no simulated run can notice the mutant; "" where one can.
func (m *Mutant) Outside() string { return outside[m.Name] }
