package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Mark names a situation that a run can come to: one of the races that the
// protocol must survive. A search that never gets into a situation says nothing
// about it, however many schedules hold; so a default run of the properties must
// reach every Mark, and a trace can name those that it shows.
type Mark uint8

const (
	// Logs and promotions.
	MarkPromotedWithUncommittedSuffix Mark = iota + 1
	MarkDivergentSuffixCut
	MarkUnverifiedSuffixAtAnAck
	MarkLateShortReplicate
	MarkReplicaLackedThePrev
	MarkOldReplicateRefused
	MarkEpochLearntFromAReplicate
	MarkRequestWhileReconciling
	MarkReconcileMissedAMember
	MarkEpochOverPendingWrites
	MarkWriteWaitedForASuspect
	MarkSuspectPromoted
	MarkStalePrimaryGotAGet
	MarkDeposedWithPendingWrites
	MarkGetBesideAnUncommittedWrite
	MarkMessageOfAFormerGroup
	MarkLeaverGotAnOldEpoch

	// Leases.
	MarkLeaseReadUnderDrift
	MarkGetWaitedThroughAPause
	MarkPromotedUnderAnOldLease
	MarkGrantWaitedOut
	MarkGranterRestarted

	// Clients and sessions.
	MarkRetryOfAPendingOp
	MarkRetryAnsweredByASuccessor
	MarkRetryAnsweredFromASnapshot
	MarkConflictToldToARetry
	MarkOldRetryDropped
	MarkOutcomeUnknown
	MarkLateNotFound
	MarkMinChainStoppedAWrite

	// Processes, data and disks.
	MarkMessageForAWipedMember
	MarkRestartedPrimaryAsked
	MarkDuplicateRegister
	MarkUnsyncedWritesLost
	MarkPartOfUnsyncedWritesKept
	MarkDamagedRecordsFound
	MarkForgottenNodeStopped
	MarkCommandLost
	MarkCommandKeptUntold
	MarkManagerCrashedInAnInquiry
	MarkManagerPausedPastAllGrace

	// Suspicion and losses.
	MarkSecondReportOfADeath
	MarkClientsReportCleared
	MarkReportStorm
	MarkAllMembersSilent
	MarkLastMemberSuspected
	MarkWitnessAgainstThePrimary
	MarkWitnessWasASpare
	MarkNoWitness
	MarkHungDiskEvicted
	MarkLagToldInAPong
	MarkFlappingNode
	MarkLossCertain
	MarkLossWithdrawn

	// New keys and groups.
	MarkTwoClientsMapAKey
	MarkTooFewNodes
	MarkDeadSparePassedOver

	// Joins and drains.
	MarkJoinMetAnEviction
	MarkJoinMetAPromotion
	MarkPendingAddMetAnEviction
	MarkCaughtUpOfAnOldEpoch
	MarkStalledJoinEnded
	MarkCancelledJoinerJoinedAgain
	MarkAckFromBeforeTheSnapshot
	MarkChunkOfAnEarlierAttempt
	MarkSnapshotFromASuccessor
	MarkWritesDuringASnapshot
	MarkDeletionDuringASnapshot
	MarkJoinerTooFarBehind
	MarkRestartWithHalfASnapshot
	MarkPrimaryRestartedDuringAJoin
	MarkTwoMembersShort
	MarkPrimaryDrained
	MarkDrainMetAnEviction

	// Networks and machines that are late, and not dead.
	MarkReplicateBehindAStall
	MarkReplicateVanished
	MarkReplicateWaitedForBandwidth
	MarkSnapshotOverALossyLink
	MarkServingFarApart
	MarkConnectingToAMember
	MarkOverloadedNode
	MarkSyncBehindAStall
	MarkManagerStutteredInAnInquiry
	MarkMemberMoved
	MarkOldAddressOfAMovedNode
	MarkTroubleWithinTheBounds
	markEnd
)

// MarkCount is one more than the highest Mark, for tables.
const MarkCount = int(markEnd)

// markSpec says of a Mark how it is called, which rule or failure of the
// protocol it stands for, and in a sentence what has happened.
type markSpec struct{ name, of, text string }

// String is the mark's name, words with hyphens between them.
func (m Mark) String() string {
	if m > 0 && m < markEnd {
		return markSpecs[m].name
	}
	return fmt.Sprintf("Mark(%d)", uint8(m))
}

// Of is the rule, or the failure of real systems, that the mark stands for.
func (m Mark) Of() string { return markSpecs[m].of }

// Text says in a sentence what has happened.
func (m Mark) Text() string { return markSpecs[m].text }

// AllMarks lists the marks in their order.
func AllMarks() []Mark {
	list := make([]Mark, 0, MarkCount-1)
	for m := Mark(1); m < markEnd; m++ {
		list = append(list, m)
	}
	return list
}

// MarkNamed returns the mark of that name, 0 when there is none.
func MarkNamed(name string) Mark {
	for _, m := range AllMarks() {
		if m.String() == name {
			return m
		}
	}
	return 0
}

// Marks is a set of marks: those that a run has reached.
type Marks [MarkCount]bool

// Reached lists the marks of the set in their order.
func (s *Marks) Reached() []Mark {
	return slices.DeleteFunc(AllMarks(), func(m Mark) bool { return !s[m] })
}

// Shown returns the marks that the schedule says it shows; it must be valid.
func (s *Schedule) Shown() []Mark {
	var list []Mark
	for _, name := range strings.Fields(s.Shows) {
		list = append(list, MarkNamed(name))
	}
	return list
}

// checkShows tells what is wrong with the marks that a schedule names.
func checkShows(shows string) string {
	names := strings.Fields(shows)
	for i, name := range names {
		switch {
		case MarkNamed(name) == 0:
			return fmt.Sprintf("%q is no mark: near it are %s", name, nearMarks(name))
		case slices.Contains(names[:i], name):
			return fmt.Sprintf("the mark %s twice: want it once", name)
		}
	}
	if strings.Join(names, " ") != shows {
		return fmt.Sprintf("%q: want marks with one blank between them", shows)
	}
	return ""
}

// nearMax is how many marks are named instead of one that there is not.
const nearMax = 5

// nearMarks lists the marks whose names are most like what was written, for who
// mistyped one or remembers half of it.
func nearMarks(name string) string {
	words := strings.Split(strings.ToLower(name), "-")
	likeness := func(m Mark) int { // letters with which words of both begin
		sum := 0
		for _, word := range strings.Split(m.String(), "-") {
			most := 0
			for _, w := range words {
				n := 0
				for n < min(len(w), len(word)) && w[n] == word[n] {
					n++
				}
				most = max(most, n)
			}
			sum += most
		}
		return sum
	}
	marks := AllMarks()
	slices.SortStableFunc(marks, func(a, b Mark) int { return cmp.Compare(likeness(b), likeness(a)) })
	names := make([]string, 0, nearMax)
	for _, m := range marks[:nearMax] {
		names = append(names, m.String())
	}
	return strings.Join(names, ", ")
}

// Missing says, a line each, what a schedule names and its run did not come to:
// an action that had no effect, a message that was never sent, a situation that
// did not come about. A trace of which something is missing no longer shows what
// it says, and so is not applicable; nothing is when it is.
func (o *Outcome) Missing(s *Schedule) []string {
	var lines []string
	for _, i := range o.IdleActions {
		lines = append(lines, "has no effect: "+s.Actions[i].String())
	}
	for _, i := range o.IdleDeviations {
		lines = append(lines, "names a message that is never sent: "+s.Deviate[i].String())
	}
	for _, m := range s.Shown() {
		if !o.Marks[m] {
			lines = append(lines, fmt.Sprintf("the situation %v did not come about: %s", m, m.Text()))
		}
	}
	return lines
}
