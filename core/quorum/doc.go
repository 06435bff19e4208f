// Package quorum has several managers agree on one order of commands: a group, of which any
// minority may die. The consensus is go.etcd.io/raft; here it is a pure state machine, as the
// nodes of package core are.
//
// # What it is, and what uses it
//
// A Node is one member. It takes in messages (Step), the news that time has passed (Tick) and
// hints (Down), and says in an Output what to send and what to make durable. It has no clock,
// goroutine, file or global randomness: the same calls give the same outputs, and a restart is
// New over what was made durable. Its owner is a Machine, the state that the members agree on.
//
// ForManager makes a Node the consensus of a core.Manager. A Node cannot be copied, as core's
// nodes can, since the library's state cannot: a search that goes on from one state in many
// ways makes it again, by playing back what it has taken in (sim/explore/cluster/seat.go).
//
// # What the owner gets
//
//   - Apply brings every member the same commands in the same order. A command is durable on
//     a majority before that, and here.
//   - Lead comes when a new leader has applied the entry with which its term began, and so all
//     that earlier ones committed. From then on its own proposals, and no others, come back by
//     Apply, in their order, until Follow. Before Lead nothing can be proposed or confirmed.
//   - Follow says what a leader cannot know any more: what it had proposed may still be applied,
//     here and everywhere, or never.
//   - Confirm asks for a majority's word that no other leads. One round of heartbeats serves all
//     that wait; those that come meanwhile wait for the next. After Confirmed the state has all
//     that any leader had applied when Confirm was called.
//   - Offer tells the leader that this member could lead, and Yield has a leader let another
//     one: by the library's transfer of leadership, which takes two ways there and back. What is
//     proposed meanwhile waits, for an election time-out at most.
//   - Change replaces members in one step, by a joint configuration. When the leader is Settled
//     again, a majority of the new members knows durably that they alone count: those who were
//     removed can be shut down. They are told nothing. Nobody comes back under their id.
//
// # What the driver owes a node
//
// What it owes core's nodes: see package core. Above all, After leaves once this and every
// earlier Persist is durable; and Self.ID names one life of the data. A member that lost its
// data and came back under its id could vote twice, and forget what it had acknowledged.
//
// Messages may be lost, repeated, delayed and reordered, but not corrupted: AppendMessage
// makes no checksum. A member's word is believed: who may speak under its name is for the
// owner to see to. What cannot be from any member is dropped.
//
// # How a group is founded
//
// A core.Manager by ForManager must be told who founds the group. A Manager of this package
// finds that out, by a list of addresses which is the same for all: see core/PROTOCOL.md,
// section 11. What could go wrong, and why it does not:
//
//   - Two groups are founded. Only the first of the list founds one, when all others have
//     promised themselves to it, empty, and a manager that has a group never does. Where the
//     first dies while it founds, without its data, those who promised go to the next start of
//     the first under other ids. So messages of the two never mix: each is for an id.
//   - A group counts on ids that are gone. Answers count for one round only, and a durable
//     promise is written before it is said, so that a crash does not end it. But who answered
//     may lose its data before it is taken up. If that makes a majority, or if all who know the
//     founders are gone, those who are left find out by their own questions, and begin anew
//     (ErrAnew). They do so only before they have applied a command, and a durable one writes
//     down that it has: the first commit point that covers one. An answer cannot be too old: it
//     is to a question that was asked after the group was founded, and who is not of it then
//     never will be. Who does not know the founders may yet be told, though: what it says
//     counts only if it was asked after all those were gone who could tell it.
//   - Who begins anew was counted on after all: by members who have changed meanwhile, say. Then
//     one member has lost its data, which the others outlive.
//   - A promise holds the next founder up. It is given to another one once it was not asked for
//     during promiseTime. Until then a late word of an earlier founder cannot have it back.
//
// # How the library is used
//
//   - Its log and votes become records by MsgStorageAppend: Persist, with the answers to others
//     in After, and those to itself behind a Stored in After.
//   - Only leaders tick. The library draws its election time-outs from a source that cannot be
//     seeded, so each node has its own timer, and campaigns by it. A member that does not tick
//     holds its leader for alive: after ElectionTimeout of silence it is made to forget it, else
//     it would refuse its vote to all others until it campaigns itself.
//   - Those who hear that their leader's connection broke ask for votes at about the same time.
//     Who has said that it would vote for another one gives that one time to ask, and of two that
//     have asked each other the one with the lesser id leaves it to the other. Else each would
//     vote for itself, and nobody would be elected before a whole time-out was over.
//   - PreVote and CheckQuorum: who was cut off deposes nobody, and a leader that reaches no
//     majority steps down, within two ElectionTimeouts.
//   - An ElectionTimeout lasts three round trips at least: two ask for votes, and one more comes
//     before a new leader's first word is answered. Heartbeats are as much rarer then. A Manager
//     measures the trips by its questions to the others, before there is a leader.
//   - A commit point is written with the next entries, not by itself, but for that of the first
//     command. At a restart it may be older than the snapshot, and is raised.
//   - A snapshot goes in Parts, each answered before the next. It is made when it is asked for.
//
// # What is on the disk
//
//	quorum/promise   while there is nothing else: of which cluster it is to be, under which id
//	quorum/state     whose data it is; term, vote and commit point
//	quorum/snapshot  the position of the snapshot, the members then, where the log begins
//	quorum/part/     the snapshot, in parts
//	quorum/log/      the entries
//
// The log is trimmed once the commands in it are twice LogBytes, or twice the snapshot where
// that is larger. A snapshot is one string in memory while it is written, sent or received,
// and one batch on the disk.
//
// # What holds, and by which test
//
//	all members apply the same                    check at Apply and Restore \
//	no acknowledged command is lost               judgeEnd, judgeRead         \ of the simulation in
//	a term has one leader                         host.do                     / sim_test.go
//	a confirmed read is not stale                 judgeRead                  /
//	once the faults end, the group works          judgeEnd
//	what is voted and acked is on the disk        judgeSaid, judgeApplied       \ laws_test.go, in
//	who leads has heard a majority lately         judgeOffice, judgeConfirmed   | the same runs
//	who is heard is not replaced                  intrude                       /
//	elections are short, and seldom               TestALeaderIsFollowedSoonAndDeposedByNobody
//	one cluster is founded, whatever happens      TestOneClusterIsFounded
//	an empty manager keeps its word               TestAnEmptyManagerConcludesWhatIsSaid
//	all this in small groups, in every order      the explorer, traces/explore/managers-*
//	members that all moved find each other        TestManagersThatMovedFindEachOther
//	the same seed gives the same run              TestEqualRunsAreEqual
//	these checks notice what they are for         TestTheChecksNoticeAFaultyDriver, and the
//	                                              mutants of table_quorum.go in properties/mutants
package quorum
