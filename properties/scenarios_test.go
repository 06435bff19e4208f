package properties

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/sim/schedule"
)

// scenario is a failure that has bitten real systems, the rule that prevents it here, and
// what shows that it does: tests of the core, and traces by their names in traces/. Each
// of these names the rule, a test in its comment and a trace in its heading. Each fails
// without the rule.
type scenario struct{ failure, rule, shown string }

// The rules, R1 to R12 and manager 1 to manager 8, are in core/PROTOCOL.md.
var scenarios = []scenario{
	{"a stale primary serves a get after a successor acked a put", "R8",
		"TestAStalePrimaryServesNoGet TestAGetIsServedByALaterRoundOnly stale-primary-get gallery/stale-primary-serves-a-get"},
	{"a get sees a write that is later lost", "R8",
		"TestAGetSeesNothingThatCanBeLost gallery/get-sees-a-write-that-is-lost"},
	{"a lease without a margin for drift", "R9",
		"TestAGrantOutlastsALeaseByTheDrift gallery/lease-without-margin"},
	{"a lease's promise is lost over a restart", "R9",
		"TestALeasePromiseOutlivesARestart TestAGrantOutlivesAChangeOfTheMode gallery/lease-promise-lost-over-a-restart"},
	{"a successor serves while the primary before it may still read alone", "R9",
		"TestALeaseCountsFromTheSending TestEveryMembersLeaseMustLive lease-outlives-the-cut"},
	{"a get is served by the clock of before it was dequeued", "R9",
		"TestNoGetAfterAPauseIsServedByAnOldLease stalled-primary-with-a-lease"},

	{"a replica is promoted that lacks an acked write, for the primary did without it", "R3",
		"TestAPrimaryNeverDropsASlowReplicaByItself slow-replica promotion-of-a-slow-replica gallery/slow-replica-dropped-by-its-primary"},
	{"a divergent uncommitted suffix after a promotion", "R7",
		"TestADivergentSuffixIsCutAfterAPromotion TestPrevOfAnotherEpochIsNoMatch divergent-suffix gallery/divergent-suffix-kept"},
	{"a replica acks its own last seq", "R7",
		"TestAReplicaAcksNoMoreThanIsVerified TestTheVerifiedPrefixEndsWithItsEpoch gallery/acks-its-own-last-seq"},
	{"a late and short message truncates", "R7",
		"TestALateShortMessageTruncatesNothing gallery/late-short-message-truncates"},
	{"a new primary serves before it has reconciled", "R5",
		"TestANewPrimaryReconcilesBeforeItServes put-in-flight-over-promotion gallery/serves-before-reconciling"},
	{"a reconciliation that waits for nobody", "R5",
		"TestReconciliationWaitsForEveryAck gallery/reconciliation-waits-for-nobody"},

	{"a delayed replicate of an old epoch", "R1",
		"TestADelayedReplicateOfAnOldEpochIsRefused gallery/delayed-replicate-of-an-old-epoch"},
	{"an epoch is adopted without its config", "R1",
		"TestNoEpochIsAdoptedWithoutItsConfig gallery/epoch-without-its-config"},
	{"a node that left forgets the epoch and serves an old config", "R1",
		"TestANodeThatLeftRemembersTheEpoch gallery/left-node-forgets"},
	{"a removed node keeps acting in its old role", "R1",
		"TestARemovedPrimaryStopsActing TestARemovedReplicaStopsAcking promoted-under-a-put gallery/removed-primary-goes-on"},
	{"an ack of one group is counted in another", "every group message names its group",
		"TestAnAckCountsInItsOwnGroupOnly gallery/ack-of-another-group"},
	{"a wiped node comes back under its address and is counted", "who a node is",
		"TestAWipedNodeThatComesBackIsNotCounted TestAWipedNodeTakesInNothingThatWasMeantForItsPast wiped-replica-returns gallery/wiped-node-comes-back"},
	{"a restarted primary serves in its old epoch", "R11",
		"TestARestartedPrimaryServesInALaterEpochOnly restarted-primary restart-while-manager-away"},

	{"a delayed retry overwrites a newer write", "R12",
		"TestADelayedRetryOverwritesNothing TestADelayedRetryOverwritesNoPendingWrite TestAnOperationThatIsInTheLogTwiceHappensOnce gallery/retry-overwrites-a-newer-write"},
	{"a client writes in another's session", "R12",
		"TestASessionIsItsOwnersAlone TestASessionIsGivenUpAfterAnUnknownOutcome"},
	{"clients that do not close keep others out", "R12",
		"TestAFullTableDropsTheSessionThatWasIdleLongest TestAClientThatClosesEndsItsSessions TestAWriteWhoseSessionHadEndedIsDoneInAnother"},
	{"a node that crashes again and again fills the list", "manager 1",
		"TestANodeThatCrashesAgainAndAgainDoesNotFillTheList TestARetiredNodeComesBackAsASpare"},
	{"a session expires and an old retry executes again", "R12",
		"TestARetryInAnExpiredSessionDoesNotExecute TestAWriteBehindTheEndOfItsSessionIsNotExecuted TestThatASessionEndedHoldsUnderALaterPrimary gallery/expired-session-revived"},
	{"a write happens of which its client was told that it never will", "R12",
		"TestThatASessionEndedHoldsUnderALaterPrimary gallery/ended-session-executes"},
	{"a deposed primary reports a failure or a conflict", "R12",
		"TestADeposedPrimaryReportsNoConflict TestRefusalsThatEndACall TestTheOutcomeWhenTheTimeIsOver unknown-outcome gallery/deposed-primary-reports-a-conflict"},
	{"a late NotFound answers a newer get", "every reply names its request",
		"TestALateNotFoundDoesNotAnswerANewerGet late-not-found gallery/late-not-found"},

	{"a join that races with an eviction leaves a primary that needs nobody", "R3",
		"TestAJoinThatRacesWithAnEvictionIsRequired TestAPendingAddIsNotForgotten gallery/join-races-with-an-eviction"},
	{"a node is made a member on a word of another epoch or about another join", "R2",
		"TestCaughtUpOfAnotherEpochOrNode forgotten-in-the-middle-of-a-join"},
	{"a restarted primary forgets its pending add", "R2",
		"TestARestartedPrimaryBeginsTheJoinAnew gallery/pending-add-forgotten"},
	{"a joiner that was cancelled, wiped and joined again builds a snapshot on what it had", "R10",
		"TestASnapshotReplacesWhatWasHeld TestHalfASnapshotIsNotKept gallery/joined-on-top-of-what-it-held"},
	{"entries that were never committed come back with a node that was away", "R10",
		"TestAJoiningNodeKeepsWhatItKnowsToBeCommitted restarted-replica-gets-the-log-only"},
	{"a joiner goes on from what its primary's log does not reach, or does not have", "R10",
		"TestWhereTheLogDoesNotDoTheNodeGetsASnapshot TestANodeThatComesBackGetsTheLogOnly"},
	{"a late chunk takes back what a joiner held and acked", "R10",
		"TestALateChunkTakesNothingBackOfWhatWasHeld gallery/held-and-acked-and-then-discarded"},
	{"a joiner whose primary died begins anew though it has a snapshot", "R10",
		"TestASuccessorGoesOnFromTheSnapshotOfItsPredecessor snapshot-sent-once-for-two-primaries"},
	{"what spares keep of groups that they left grows without a bound", "R10",
		"TestASpareKeepsOneGroupAtMost moved-on-to-another-group"},
	{"a joiner that was cancelled, wiped and joined again is counted with its old acks", "R6",
		"TestOldAcksOfAJoinerDoNotCountInItsNextJoin TestAcksFromBeforeTheSnapshotDoNotCount acks-of-an-earlier-attempt gallery/old-acks-of-a-joining-node"},
	{"a chunk of an earlier snapshot attempt is accepted", "R10",
		"TestAChunkOfAnEarlierAttemptIsDropped TestTheNextAttemptBeginsWithNothing gallery/chunk-of-an-earlier-attempt"},
	{"a snapshot races with writes", "R10",
		"TestASnapshotHasWhatIsWrittenMeanwhile TestASnapshotIsNeverAheadOfItsPosition gallery/snapshot-races-with-writes"},
	{"half a snapshot counts after a restart", "durable before sent",
		"TestHalfASnapshotCountsForNothing"},
	{"a chunk with a wrong checksum", "R10",
		"TestAChunkWithAWrongChecksumIsRefused"},
	{"a joiner sends nonsense", "R10",
		"TestNonsenseFromAJoiningNodeIsDropped"},
	{"two recruits at once", "R2",
		"TestOneNodeJoinsAtATime gallery/two-recruits-at-once"},
	{"a stalled joiner holds the only slot", "manager 6",
		"TestAStalledJoinerMakesRoom gallery/stalled-joiner"},
	{"a spare that the primary cannot reach is tried again and again", "manager 6",
		"unreachable-spare"},
	{"new groups take the spares that healing needs", "manager 6",
		"TestMostEndangeredGroupIsHealedFirst TestSparesAreHeldBack"},
	{"a drain takes the last copy, or leaves a group short", "manager 6",
		"TestDrain TestDrainOfTheLastCopy TestDrainLosesItsSpare TestTwoMembersAreDrainedAtOnce TestDrainOfAllNodes TestDrainOfAJoiningNode drain-while-the-group-forms"},
	{"what a member lacks is trimmed", "trimming",
		"TestTrimKeepsWhatAMemberLacks TestTrimKeepsWhatANodeThatCameBackLacks TestAReplicaTrimsOnlyWhatItHasApplied"},

	{"two clients map the same new key", "manager 1",
		"TestTwoClientsMapTheSameNewKey TestTheFirstMappingOfAKeyWins two-clients-map-the-same-new-key gallery/two-clients-map-the-same-new-key"},
	{"two groups formed at once take the same spares", "manager 1",
		"TestTwoGroupsFormedAtOnceTakeDifferentSpares"},
	{"dead spares are picked for a new group", "manager 1",
		"TestDeadSparesAreNotPickedForANewGroup gallery/dead-spares-form-a-group"},
	{"fewer than k+1 nodes are left", "manager 1",
		"TestFewerSparesThanAGroupTakes too-few-nodes gallery/group-of-too-few"},

	{"a client's broken network condemns a healthy primary", "manager 3",
		"TestAClientsBrokenNetworkCondemnsNobody client-cut-off-from-the-primary gallery/client-condemns-a-healthy-primary"},
	{"two reports of the same death are applied twice", "manager 4",
		"TestTwoReportsOfTheSameDeathAreAppliedOnce TestTwoCommandsInFlightOnlyTheFirstCounts TestReconfigurationIsByCompareAndSetOnTheEpoch gallery/one-death-reported-twice"},
	{"the manager's own pause makes it evict everyone", "manager 3",
		"TestTheManagersOwnPauseEvictsNobody TestAPauseInTheMiddleOfAnInquiry TestAManagerThatStallsAllTheTimeStillDecides TestAManagerThatJustStartedGivesEverybodyAGrace manager-pauses gallery/manager-pauses"},
	{"suspicion empties the chain, then one crash is fatal", "manager 3",
		"TestSuspicionOfAllEmptiesNoChain TestAProofIsGoodWhileItsNodeAnswers suspicion-of-all-then-a-crash gallery/suspicion-empties-the-chain"},
	{"a half-broken primary evicts everyone", "manager 3",
		"TestHalfBrokenPrimaryEvictsNobody TestASpareIsTheWitnessWhenTheThirdMemberIsSilent half-broken-primary gallery/half-broken-primary"},
	{"the manager reaches two members that do not reach each other", "manager 3",
		"TestPartialPartition partial-partition-with-a-third-member partial-partition-with-a-spare partial-partition-without-a-witness gallery/partial-partition"},
	{"a slow disk that still answers pings", "manager 3",
		"TestASlowDiskBehindPongsIsFound TestAProbeIsAnsweredAfterADurableWrite slow-disk-of-the-primary slow-disk-of-a-replica gallery/slow-disk-answers-pings"},
	{"a flapping node", "manager 3",
		"TestAFlappingNodeIsKeptOut"},
	{"a flapping node is used again at once", "manager 6",
		"TestQuarantineGrows"},
	{"a storm of reports", "manager 3",
		"TestAStormOfReportsChangesNothing gallery/report-storm"},
	{"the last member is evicted on suspicion", "manager 5",
		"TestTheLastMemberIsNeverEvictedOnSuspicion last-member-pauses gallery/last-member-evicted"},
	{"a group is declared lost for a member that only paused", "manager 5",
		"TestALossDeclaredForAPausedNodeIsWithdrawn lost-declared-for-a-paused-node gallery/lost-declared-for-a-paused-node"},
	{"a node that flaps is taken again before any other", "manager 6",
		"gallery/flapping-node"},

	{"the manager restarts with amnesia", "manager 7",
		"TestAManagerWithAmnesiaHalts"},
	{"a torn tail is taken for corruption, or a hole for a torn tail", "durable before sent",
		"TestATornTailIsNoDamageAndAHoleIs TestARecordMissingBeneathOthersIsDamage gallery/hole-in-the-log"},
}

// evidence has the tests and traces that can show a scenario, each with the text that
// must name the rule.
type evidence map[string]string

func gatherEvidence(t *testing.T) evidence {
	t.Helper()
	found := evidence{}
	for _, f := range source(t) {
		if f.dir != "core" || !f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				found[fn.Name.Name] = fn.Doc.Text()
			}
		}
	}
	traces, err := filepath.Glob(filepath.Join(traceDir, "*.trace"))
	require.NoError(t, err)
	gallery, err := filepath.Glob(filepath.Join(traceDir, "gallery", "*.trace"))
	require.NoError(t, err)
	for _, file := range append(traces, gallery...) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		s, err := schedule.Parse(string(text))
		require.NoError(t, err, file)
		name, err := filepath.Rel(traceDir, file)
		require.NoError(t, err)
		found[strings.TrimSuffix(filepath.ToSlash(name), ".trace")] = s.Rule
	}
	return found
}

// judge says what is wrong with a row of the table; nil for nothing.
func (e evidence) judge(s scenario) (wrong []string) {
	if s.failure == "" || s.rule == "" || s.shown == "" {
		wrong = append(wrong, "it is incomplete")
	}
	for _, name := range strings.Fields(s.shown) {
		text, exists := e[name]
		words := " " + strings.Join(strings.FieldsFunc(text, isNoPartOfARule), " ") + " "
		switch {
		case !exists:
			wrong = append(wrong, fmt.Sprintf("there is no %s", name))
		case !strings.Contains(strings.ToLower(words), " "+strings.ToLower(s.rule)+" "):
			wrong = append(wrong, fmt.Sprintf("%s does not name the rule, %s", name, s.rule))
		}
	}
	return wrong
}

func isNoPartOfARule(r rune) bool { return strings.ContainsRune(" \n.,:;()\"", r) }

// Every failure in the table has a test or a trace, and each of these names the rule.
func TestEveryFailureHasAScenario(t *testing.T) {
	found := gatherEvidence(t)
	seen := map[string]bool{}
	for _, s := range scenarios {
		require.False(t, seen[s.failure], "twice: %s", s.failure)
		seen[s.failure] = true
		for _, wrong := range found.judge(s) {
			t.Errorf("%s: %s", s.failure, wrong)
		}
	}
}

func TestScenarioTableBites(t *testing.T) {
	e := evidence{"TestA": "Rule R1, and R12: it holds.", "TestB": "", "a-trace": "manager 3, a new\ngrace"}
	for _, c := range []struct {
		scenario
		wrong []string
	}{
		{scenario{"f", "R1", "TestA"}, nil},
		{scenario{"f", "R12", "TestA"}, nil},
		{scenario{"f", "manager 3", "a-trace"}, nil},
		{scenario{"f", "a new grace", "a-trace"}, nil},
		{scenario{"f", "R1", "TestA TestC b-trace"}, []string{"there is no TestC", "there is no b-trace"}},
		{scenario{"f", "R2", "TestA"}, []string{"TestA does not name the rule, R2"}},
		{scenario{"f", "R1", "TestB"}, []string{"TestB does not name the rule, R1"}},
		{scenario{"f", "manager", "a-trace TestA"}, []string{"TestA does not name the rule, manager"}},
		{scenario{"f", "R1", ""}, []string{"it is incomplete"}},
		{scenario{"", "R1", "TestA"}, []string{"it is incomplete"}},
	} {
		require.True(t, slices.Equal(c.wrong, e.judge(c.scenario)), "%v: %q", c.scenario, e.judge(c.scenario))
	}
}
