package sim

import (
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
	MarkStalePrimaryGotAWrite
	MarkDeposedWithPendingWrites
	MarkGetBesideAnUncommittedWrite
	MarkMessageOfAFormerGroup
	MarkLeaverGotAnOldEpoch

	// Leases.
	MarkLeaseRead
	MarkLeaseReadUnderDrift
	MarkGetWithoutALease
	MarkGetWaitedThroughAPause
	MarkPromotedUnderAnOldLease
	MarkGrantWaitedOut
	MarkGranterRestarted

	// Clients and sessions.
	MarkRetryOfAPendingOp
	MarkRetryAfterTheResult
	MarkRetryAnsweredByASuccessor
	MarkRetryAnsweredFromASnapshot
	MarkConflictToldToARetry
	MarkOldRetryDropped
	MarkOutcomeUnknown
	MarkLateReply
	MarkLateNotFound
	MarkMinChainStoppedAWrite

	// Processes, data and disks.
	MarkWipedMemberReturned
	MarkMessageForAnotherNode
	MarkRestartedPrimaryAsked
	MarkDuplicateRegister
	MarkUnsyncedWritesLost
	MarkPartOfUnsyncedWritesKept
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
	MarkWitnessInVain
	MarkNoWitness
	MarkHungDiskEvicted
	MarkLagToldInAPong
	MarkFlappingNode
	MarkLossPresumed
	MarkLossCertain
	MarkLossWithdrawn

	// New keys and groups.
	MarkTwoClientsMapAKey
	MarkKeyWhileAGroupForms
	MarkKeyToAnOldGroup
	MarkTooFewNodes
	MarkDeadSparePassedOver

	// Joins and drains.
	MarkJoinMetAnEviction
	MarkJoinMetAPromotion
	MarkPendingAddMetAnEviction
	MarkCaughtUpOfAnOldEpoch
	MarkJoinerDied
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
	MarkTwoGroupsHealAtOnce
	MarkTwoMembersShort
	MarkQuarantinedNodeUsedAgain
	MarkPrimaryDrained
	MarkDrainMetAnEviction
	MarkDrainRefused
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

// MarkNamed returns the mark of that name, 0 when there is none.
func MarkNamed(name string) Mark {
	for m := Mark(1); m < markEnd; m++ {
		if markSpecs[m].name == name {
			return m
		}
	}
	return 0
}

// Marks is a set of marks: those that a run has reached.
type Marks [MarkCount]bool

// Reached lists the marks of the set in their order.
func (s *Marks) Reached() []Mark {
	var list []Mark
	for m := Mark(1); m < markEnd; m++ {
		if s[m] {
			list = append(list, m)
		}
	}
	return list
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
			return fmt.Sprintf("%q is no mark: want some of %s", name, markList())
		case slices.Contains(names[:i], name):
			return fmt.Sprintf("the mark %s twice: want it once", name)
		}
	}
	if strings.Join(names, " ") != shows {
		return fmt.Sprintf("%q: want marks with one blank between them", shows)
	}
	return ""
}

func markList() string {
	names := make([]string, 0, MarkCount)
	for m := Mark(1); m < markEnd; m++ {
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
