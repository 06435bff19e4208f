package schedule

import (
	"fmt"

	"gtstore/core"
)

// Verb says what an Action does.
type Verb uint8

const (
	VerbPut        Verb = iota + 1 // Host (a client), Key, Value
	VerbGet                        // Host, Key
	VerbDelete                     // Host, Key
	VerbCAS                        // Host, Key, Value, Version: "last" (what the client last saw of the key) or a number
	VerbCrash                      // Host, Keep, Torn: its process dies; its first Keep unsynced batches survive, and Torn bytes of the next
	VerbRestart                    // Host: start it again; in memory mode as a new node. Without effect when up
	VerbWipe                       // Host: crash it and empty its disk
	VerbPause                      // Host: its process stalls, its clock goes on
	VerbResume                     // Host
	VerbPartition                  // Groups: hosts in different groups cannot reach each other; a host in none reaches all
	VerbCut                        // Link: no message passes this way
	VerbHeal                       // all cuts, partitions, clogs and flaky links end
	VerbClog                       // Link: messages are held back on this way
	VerbUnclog                     // Link: what was held back, and what follows, arrives
	VerbFlaky                      // Link (empty hosts: every link), Drop, Duplicate, Delay, Corrupt in permille, DelayMax
	VerbReset                      // Link: connections between the two hosts break; both are told
	VerbStall                      // Link, Latency: nothing leaves this way for so long; then all of it, late and in order
	VerbLossy                      // Link (empty hosts: every link), Rate in permille: packets are lost, and sent again after a time-out, in order
	VerbMute                       // Link: what is sent this way on the present connection vanishes, until another one is made
	VerbBandwidth                  // Host, Rate: at most so many bytes a second leave it, over all its links; 0 for no bound
	VerbSlowDisk                   // Host, Latency: its syncs take this long from now on
	VerbStallDisk                  // Host, Latency: no sync of it ends for so long; then all go on
	VerbFailSync                   // Host, Keep, Torn: its next sync fails, which ends its process; what survives is as at a crash
	VerbFullDisk                   // Host: it can write nothing, which ends its process at the next write, until FreeDisk
	VerbFreeDisk                   // Host
	VerbRot                        // Host, Record: a bit of that durable record flips
	VerbMisdirect                  // Host, Record: in the place of that durable record another one is read from now on
	VerbUnreadable                 // Host, Record: that durable record can no longer be read
	VerbSlow                       // Host, Latency: from now on whatever it does begins so much later
	VerbBusy                       // Host, Latency: from now on each message that it takes in costs it so much time
	VerbStop                       // Host: the storage node is asked to stop (farewell)
	VerbForget                     // Host: an operator says that the data which the host has now is gone
	VerbDrain                      // Host: an operator asks for the storage node's place to be moved to a spare
	VerbMove                       // Host, Target: the node's process ends, and its data comes to another host, which is down and loses its own
	VerbClose                      // Host: the client closes, and another takes its place
	VerbTerms                      // Terms: what the manager is started with from its next start on
	VerbCount                      // one more than the highest, for tables
)

// uses is a set of an Action's fields. Their order is that of the text.
type uses uint16

const (
	useHost uses = 1 << iota
	useLink
	useTarget
	useKey
	useVersion
	useValue
	useLatency
	useRate
	useGroups
	useKeep // and torn
	useRecord
	useRates
	useTerms
)

var useNames = [...]string{"a host", "a link", "a second host", "a key", "a version", "a value", "a duration", "a rate", "groups", "keep or torn", "record", "rates", "terms"}

// used is the set of the action's fields that are not zero.
func (a *Action) used() uses {
	var u uses
	for i, set := range [...]bool{
		a.Host != "", a.Link != Link{}, a.Target != "", a.Key != "", a.Version != "", a.Value != "" || a.Size != 0,
		a.Latency != 0, a.Rate != 0, len(a.Groups) > 0, a.Keep != 0 || a.Torn != 0, a.Record != 0,
		a.Drop != 0 || a.Duplicate != 0 || a.Delay != 0 || a.Corrupt != 0 || a.DelayMax != 0,
		a.Terms != core.Terms{},
	} {
		if set {
			u |= 1 << i
		}
	}
	return u
}

// verbSpec says how a verb is written, and to which hosts it applies.
type verbSpec struct {
	name  string
	usage string
	hosts hostKind // the hosts it applies to
	uses  uses     // the fields it reads, in the order of their text
}

const hostAll = hostManager | hostStorage | hostClient

var verbSpecs = [VerbCount]verbSpec{
	VerbPut:       {"put", "cN put KEY VALUE[*BYTES] [-> STATUS]", hostClient, useHost | useKey | useValue},
	VerbGet:       {"get", "cN get KEY [-> ok [VALUE]|STATUS]", hostClient, useHost | useKey},
	VerbDelete:    {"delete", "cN delete KEY [-> STATUS]", hostClient, useHost | useKey},
	VerbCAS:       {"cas", "cN cas KEY last|NUMBER VALUE[*BYTES] [-> STATUS]", hostClient, useHost | useKey | useVersion | useValue},
	VerbCrash:     {"crash", "crash HOST [keep=N] [torn=N]", hostManager | hostStorage, useHost | useKeep},
	VerbRestart:   {"restart", "restart HOST", hostManager | hostStorage, useHost},
	VerbWipe:      {"wipe", "wipe NODE", hostStorage, useHost},
	VerbPause:     {"pause", "pause HOST", hostAll, useHost},
	VerbResume:    {"resume", "resume HOST", hostAll, useHost},
	VerbPartition: {"partition", "partition HOST... | HOST...", 0, useGroups},
	VerbCut:       {"cut", "cut FROM>TO", 0, useLink},
	VerbClog:      {"clog", "clog FROM>TO", 0, useLink},
	VerbUnclog:    {"unclog", "unclog FROM>TO", 0, useLink},
	VerbHeal:      {"heal", "heal", 0, 0},
	VerbFlaky: {"flaky", "flaky FROM>TO|* [drop=N] [duplicate=N] [delay=N] [corrupt=N] [delay-max=DURATION]",
		0, useLink | useRates},
	VerbReset:      {"reset", "reset FROM>TO", 0, useLink},
	VerbStall:      {"stall", "stall FROM>TO DURATION", 0, useLink | useLatency},
	VerbLossy:      {"lossy", "lossy FROM>TO|* PERMILLE", 0, useLink | useRate},
	VerbMute:       {"mute", "mute FROM>TO", 0, useLink},
	VerbBandwidth:  {"bandwidth", "bandwidth HOST BYTES-A-SECOND", hostAll, useHost | useRate},
	VerbSlowDisk:   {"slow-disk", "slow-disk HOST DURATION", hostManager | hostStorage, useHost | useLatency},
	VerbStallDisk:  {"stall-disk", "stall-disk HOST DURATION", hostManager | hostStorage, useHost | useLatency},
	VerbFailSync:   {"fail-sync", "fail-sync HOST [keep=N] [torn=N]", hostManager | hostStorage, useHost | useKeep},
	VerbFullDisk:   {"full-disk", "full-disk HOST", hostManager | hostStorage, useHost},
	VerbFreeDisk:   {"free-disk", "free-disk HOST", hostManager | hostStorage, useHost},
	VerbRot:        {"rot", "rot HOST [record=N]", hostManager | hostStorage, useHost | useRecord},
	VerbMisdirect:  {"misdirect", "misdirect HOST [record=N]", hostManager | hostStorage, useHost | useRecord},
	VerbUnreadable: {"unreadable", "unreadable HOST [record=N]", hostManager | hostStorage, useHost | useRecord},
	VerbSlow:       {"slow", "slow HOST DURATION", hostManager | hostStorage, useHost | useLatency},
	VerbBusy:       {"busy", "busy HOST DURATION", hostManager | hostStorage, useHost | useLatency},
	VerbStop:       {"stop", "stop NODE", hostStorage, useHost},
	VerbForget:     {"forget", "forget NODE", hostStorage, useHost},
	VerbDrain:      {"drain", "drain NODE", hostStorage, useHost},
	VerbMove:       {"move", "move NODE NODE", hostStorage, useHost | useTarget},
	VerbClose:      {"close", "cN close", hostClient, useHost},
	VerbTerms:      {"terms", "terms [reads=confirm|lease] [lease=DURATION] [min-chain=N]", 0, useTerms},
}

// spec is the verb's row of verbSpecs; the zero verbSpec for a verb that does not exist.
func (v Verb) spec() verbSpec {
	if v >= VerbCount {
		return verbSpec{}
	}
	return verbSpecs[v]
}

// String is the verb as the text of a schedule writes it.
func (v Verb) String() string {
	if name := v.spec().name; name != "" {
		return name
	}
	return fmt.Sprintf("Verb(%d)", uint8(v))
}

// Operation is the kind of operation that a client calls with this verb; 0 for a fault.
func (v Verb) Operation() core.OpKind {
	switch v {
	case VerbPut:
		return core.OpPut
	case VerbGet:
		return core.OpGet
	case VerbDelete:
		return core.OpDelete
	case VerbCAS:
		return core.OpCAS
	}
	return 0
}

// everyLink tells whether the verb can be about all links at once.
func (v Verb) everyLink() bool { return v == VerbFlaky || v == VerbLossy }

// OnDisk tells whether the verb is about a host's disk.
func (v Verb) OnDisk() bool { return v >= VerbSlowDisk && v <= VerbUnreadable }
