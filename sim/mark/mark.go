package mark

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Mark names a situation that a run can come to: one of the races that the protocol
// must survive. A search that never gets into a situation says nothing about it, however
// many schedules hold. So the tests of package properties must reach every Mark. A trace
// can name the marks that it shows.
type Mark uint8

const (
	// Logs and promotions.
	PromotedWithUncommittedSuffix Mark = iota + 1
	DivergentSuffixCut
	UnverifiedSuffixAtAnAck
	LateShortReplicate
	ReplicaLackedThePrev
	OldReplicateRefused
	EpochLearntFromAReplicate
	RequestWhileReconciling
	ReconcileMissedAMember
	EpochOverPendingWrites
	WriteWaitedForASuspect
	SuspectPromoted
	StalePrimaryGotAGet
	DeposedWithPendingWrites
	GetBesideAnUncommittedWrite
	MessageOfAFormerGroup
	LeaverGotAnOldEpoch

	// Leases.
	LeaseReadUnderDrift
	GetWaitedThroughAPause
	PromotedUnderAnOldLease
	GrantWaitedOut
	GranterRestarted
	LeasesEndedUnderALease

	// Clients and sessions.
	RefusedAsTooMany
	IdleSessionEnded
	RetryOfAPendingOp
	RetryAnsweredByASuccessor
	RetryAnsweredFromASnapshot
	ConflictToldToARetry
	OldRetryDropped
	OutcomeUnknown
	LateNotFound
	MinChainStoppedAWrite

	// Processes, data and disks.
	MessageForAWipedMember
	RestartedPrimaryAsked
	DuplicateRegister
	UnsyncedWritesLost
	PartOfUnsyncedWritesKept
	DamagedRecordsFound
	ForgottenNodeStopped
	CommandLost
	CommandKeptUntold
	RestartedOverRecords
	ManagerCrashedInAnInquiry
	TermsMetAJoin
	ManagerPausedPastAllGrace

	// Suspicion and losses.
	SecondReportOfADeath
	ClientsReportCleared
	ReportStorm
	AllMembersSilent
	LastMemberSuspected
	WitnessAgainstThePrimary
	WitnessWasASpare
	NoWitness
	HungDiskEvicted
	LagToldInAPong
	FlappingNode
	LossCertain
	LossWithdrawn

	// New keys and groups.
	TwoClientsMapAKey
	KeyOfAMappedSlot
	TooFewNodes
	DeadSparePassedOver

	// Joins and drains.
	JoinMetAnEviction
	JoinMetAPromotion
	PendingAddMetAnEviction
	CaughtUpOfAnOldEpoch
	StalledJoinEnded
	CancelledJoinerJoinedAgain
	AckFromBeforeTheSnapshot
	ChunkOfAnEarlierAttempt
	SnapshotFromASuccessor
	WritesDuringASnapshot
	DeletionDuringASnapshot
	JoinerTooFarBehind
	JoinerResumed
	ResumedAfterARestart
	ResumedByASuccessor
	UncommittedSuffixCut
	LogTooShortToResume
	FormerGroupGivenUp
	RestartWithHalfASnapshot
	PrimaryRestartedDuringAJoin
	TwoMembersShort
	PrimaryDrained
	DrainMetAnEviction

	// Networks and machines that are late, and not dead.
	ReplicateBehindAStall
	ReplicateVanished
	ReplicateWaitedForBandwidth
	SnapshotOverALossyLink
	ServingFarApart
	ConnectingToAMember
	OverloadedNode
	SyncBehindAStall
	ManagerStutteredInAnInquiry
	MemberMoved
	OldAddressOfAMovedNode
	TroubleWithinTheBounds

	// Several managers.
	LeaderChanged
	DeposedLeaderSentElsewhere
	LeaderLetAnotherLead
	DirectoryFromASnapshot
	ManagerReplaced
	DenialConfirmed
	RequestOutlivedItsLeader
	EmptyManagerWaited
	ClusterFoundedAnew
	end
)

// Count is one more than the highest Mark, for tables.
const Count = int(end)

// spec is a Mark's name, the rule or failure that it stands for, and the sentence that
// says what has happened.
type spec struct{ name, of, text string }

// String is the mark's name, words with hyphens between them.
func (m Mark) String() string {
	if m > 0 && m < end {
		return specs[m].name
	}
	return fmt.Sprintf("Mark(%d)", uint8(m))
}

// Of is the rule, or the failure of real systems, that the mark stands for.
func (m Mark) Of() string { return specs[m].of }

// Text says in a sentence what has happened.
func (m Mark) Text() string { return specs[m].text }

// All lists the marks in their order.
func All() []Mark {
	list := make([]Mark, 0, Count-1)
	for m := Mark(1); m < end; m++ {
		list = append(list, m)
	}
	return list
}

// Named returns the mark of that name, 0 when there is none.
func Named(name string) Mark {
	for _, m := range All() {
		if m.String() == name {
			return m
		}
	}
	return 0
}

// Set is a set of marks: those that a run has reached.
type Set [Count]bool

// Reached lists the marks of the set in their order.
func (s *Set) Reached() []Mark {
	return slices.DeleteFunc(All(), func(m Mark) bool { return !s[m] })
}

// nearMax is how many marks Near lists.
const nearMax = 5

// Near lists the marks whose names are most like a text, for an error: somebody mistyped
// a name, or remembers half of it.
func Near(name string) string {
	words := strings.Split(strings.ToLower(name), "-")
	likeness := func(m Mark) int { // how many letters the words of both begin with
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
	marks := All()
	slices.SortStableFunc(marks, func(a, b Mark) int { return cmp.Compare(likeness(b), likeness(a)) })
	names := make([]string, 0, nearMax)
	for _, m := range marks[:nearMax] {
		names = append(names, m.String())
	}
	return strings.Join(names, ", ")
}

// Wait is how long something must wait for a mark that is about waiting: longer than one
// or two heartbeats.
const Wait = 100 * time.Millisecond

// Add adds the marks of another set to this one.
func (s *Set) Add(other *Set) {
	for m, reached := range other {
		s[m] = s[m] || reached
	}
}
