package mutants

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	coreRoles     = "core/roles.go"
	transportDir  = "netrpc/internal/transport/"
	transportWho  = transportDir + "who.go"
	identityDir   = "netrpc/internal/identity/"
	identityPeer  = identityDir + "peer.go"
	identityFiles = identityDir + "source.go"

	testRoles = "TestRolesAreThoseOfTheProtocolPage|TestAClientDoesNoneOfWhatOperatorsAndNodesDo"
	testGood  = "TestWhoIsNotGoodIsRefused|TestFilesAreReadAgain|TestAConnectionEnds"
	testFiles = "TestFiles|TestTheLinesOfADenyList"
)

// identityMutant is a process with TLS without one of the rules by which it knows who says what.
type identityMutant struct {
	Mutant
	Package string
	Run     string // the tests that must catch it
}

// says is a role table in which somebody may say more.
func says(name, story, old, new string) identityMutant {
	return identityMutant{Mutant{Name: name, Story: story, File: coreRoles, Old: old, New: new}, "./core", testRoles}
}

// transports is a mutant of package transport.
func transports(file, name, story, old, new, run string) identityMutant {
	return identityMutant{Mutant{Name: name, Story: story, File: transportDir + file, Old: old, New: new}, "./" + transportDir, run}
}

// identifies is a mutant of package identity.
func identifies(file, name, story, old, new, run string) identityMutant {
	return identityMutant{Mutant{Name: name, Story: story, File: file, Old: old, New: new}, "./" + identityDir, run}
}

// names is a mutant of what knows managers by their names.
func names(file, name, story, old, new, run string) identityMutant {
	return identityMutant{Mutant{Name: name, Story: story, File: file, Old: old, New: new}, "./netrpc", run}
}

var identityMutants = []identityMutant{
	says(`clients-forget`, `a client gives nodes up`, `{{RoleOperator, RoleManager}},
	KindForgotten:`, `{{usersOnly, RoleManager}},
	KindForgotten:`),
	says(`clients-drain`, `a client drains nodes`, `{{RoleOperator, RoleManager}},
	KindDrained:`, `{{usersOnly, RoleManager}},
	KindDrained:`),
	says(`clients-back-up`, `a client reads all keys`, `KindExport:        {{RoleOperator, RoleNode}}`, `KindExport:        {{usersOnly, RoleNode}}`),
	says(`clients-choose-managers`, `a client changes the managers`, `KindManagersQuery: {{RoleOperator, RoleManager}}`, `KindManagersQuery: {{usersOnly, RoleManager}}`),
	says(`clients-register`, `a client is a node`, `KindRegister:   {{RoleNode, RoleManager}}`, `KindRegister:   {{RoleNode | RoleClient, RoleManager}}`),
	says(`clients-replicate`, `a client is a primary`, `KindReplicate: {{RoleNode, RoleNode}}`, `KindReplicate: {{RoleNode | RoleClient, RoleNode}}`),
	says(`clients-ack`, `a client is a replica`, `KindAck:       {{RoleNode, RoleNode}}`, `KindAck:       {{RoleNode | RoleClient, RoleNode}}`),
	says(`clients-ping`, `a client is a manager`, `KindPing:       {{RoleManager, RoleNode}}`, `KindPing:       {{RoleManager | RoleClient, RoleNode}}`),
	says(`nodes-configure`, `a node issues configs`, `KindConfig:     {{RoleManager, RoleNode}}`, `KindConfig:     {{RoleManager | RoleNode, RoleNode}}`),
	says(`nodes-vote`, `a node has a vote among managers`, `KindQuorum:    {{RoleManager, RoleManager}}`, `KindQuorum:    {{RoleManager | RoleNode, RoleManager}}`),
	says(`nodes-locate`, `a node says where keys are`, `KindLookupReply: {{RoleManager, usersOnly}}`, `KindLookupReply: {{RoleManager | RoleNode, usersOnly}}`),
	says(`managers-write`, `a manager writes keys`, `KindOp:          {{usersOnly, RoleNode}}`, `KindOp:          {{usersOnly | RoleManager, RoleNode}}`),
	says(`either-way`, `whoever may say or hear something may say it to anybody`, `w.from&from != 0 && w.to&to != 0`, `w.from&from != 0 || w.to&to != 0`),

	{Mutant{Name: `sessions-not-shared`, Story: `one name ends the sessions of all others`, File: "core/session.go",
		Old: `	if count < share {`, New: `	if true {`}, "./core", "TestClientsOfOneNameShareHalfOfTheSessions"},
	transports(`quota.go`, `connections-not-shared`, `one name has all connections`,
		`	if n.connections >= max(1, s.t.opt.ConnectionsMax/nameShare) {`, `	if n.connections >= s.t.opt.ConnectionsMax {`, "TestOneNameHasItsPart"),
	transports(`budget.go`, `memory-not-shared`, `one name has all of the memory`,
		`	return held > 0 && held+n > free/nameShare`, `	return held < 0 && free < 0`, "TestOneNameDoesNotFillTheInboxOrTheMemory"),
	transports(`inbox.go`, `places-not-shared`, `one name has all places that wait for a node`,
		`int(s.of.waiting.Load())-s.count > free/nameShare`, `s.of.waiting.Load() < 0`, "TestOneNameDoesNotFillTheInboxOrTheMemory"),

	transports(`who.go`, `roles-not-looked-at`, `everybody says everything`,
		`k := core.KindIn(frame); !k.MaySend(`, `k := core.KindIn(frame); len(frame) == 0 && !k.MaySend(`, "TestEveryRoleSaysOnlyWhatItMay"),
	transports(`who.go`, `clients-choose-their-ids`, `a client is whoever it says`,
		`			e.From.ID = p.Bind(e.From.ID)
`, ``, "TestWhatARoleMaySayArrives"),
	transports(`who.go`, `nodes-choose-their-ids`, `a node speaks for another`,
		`	case known && name != "" && name != p.Owner():
`, `	case known && name != "" && name == "":
`, "TestANodeSpeaksUnderItsOwnIDOnly"),
	transports(`who.go`, `registers-anywhere`, `a node registers at the address of another`,
		`claimed != p.Owner() {`, `claimed == "" {`, "TestANodeSpeaksUnderItsOwnIDOnly"),
	transports(`who.go`, `configs-of-strangers`, `a node tells of a config in which it is not`,
		`	if !found {`, `	if !found && !keep {`, "TestANodeSpeaksUnderItsOwnIDOnly"),
	transports(`who.go`, `configs-rename`, `a config gives a node the name of another`,
		`		if known != "" && name != "" && name != known {`, `		if known != "" && name != "" && known == "" {`, "TestANodeSpeaksUnderItsOwnIDOnly"),
	transports(`who.go`, `managers-choose-their-ids`, `a manager speaks for another`,
		`	if owner != own {`, `	if owner == "" {`, "TestAManagerSpeaksUnderItsOwnIDOnly"),
	transports(`who.go`, `managers-known-to-nobody`, `who uses the id of a manager first has it, whatever the cluster knows`,
		`	owner, _ := d.t.nameOf(e.From.ID)
	if owner == "" {`, `	owner := ""
	if owner == "" {`, "TestAManagerSpeaksUnderItsOwnIDOnly"),
	transports(`who.go`, `managers-answer-from-anywhere`, `a manager has its answers be those of another address`,
		`claimed != own && (d.owner`, `claimed == "" && (d.owner`, "TestAManagerSpeaksUnderItsOwnIDOnly"),
	names(`core/leaders.go`, `names-of-managers-forgotten`, `a node that is started again takes any manager at an address of its list`,
		`			l.known[i].Addr = NamedAddr(nameIn(a), l.known[i].Addr)
`, `			_ = i
`, "TestNobodyAnswersInThePlaceOfAnotherManager"),
	{Mutant{Name: `managers-that-were-met-forgotten`, Story: `a client takes any manager at the address of one that it has met`, File: "core/leaders.go",
		Old: `i >= 0 && l.known[i].Addr != p.Addr && isNamed`, New: `i >= 0 && p == (Peer{}) && isNamed`}, "./core", "TestAClientLearnsTheNamesOfTheManagers"},
	names(`core/durable.go`, `name-of-the-manager-forgotten`, `a node that is started again takes any manager for the one that is alone`,
		`len(kept) == 1 && certified {`, `len(kept) == 0 {`, "TestWhoHasMetAManagerExpectsIt"),
	names(`core/quorum/seat.go`, `managers-ask-anybody`, `a manager that is started again takes any other at an address of its list`,
		`		m.resolve(m.node.current())
`, ``, "TestNobodyAnswersInThePlaceOfAnotherManager"),
	names(`core/quorum/seat.go`, `managers-change-their-names`, `a manager goes on with its data under the name of another`,
		`member && core.OtherName(p.Addr, inner.Self().Addr) {`, `member && p.ID == 0 {`, "TestAManagerUnderAnotherNameIsAnotherOne"),
	transports(`carrier.go`, `handshakes-without-end`, `TLS keeps a certificate of 256 KiB of anybody`,
		`	if c.opening && c.got`, `	if c.rest < 0 && c.got`, "TestWhoSaysTooMuchInTheHandshakeIsRefused"),
	transports(`carrier.go`, `keys-on-request`, `answers to requests for new keys are held without end`,
		`	if !c.writing.Load() {`, `	if c.writing.Load() && c.out == nil && b == nil {`, "TestWhoAsksForNewKeysLosesItsConnection"),
	transports(`carrier.go`, `records-are-free`, `records of a byte each keep the processors busy`,
		`	if s.owner != nil && s.carrier.records >= recordsMax {`, `	if s.owner == nil && s.carrier.records < 0 {`, "TestRecordsArePaidFor"),
	transports(`carrier.go`, `handshakes-all-at-once`, `the handshakes of strangers have all processors`,
		`c.rest == 0 && err == nil {`, `c.rest == 0 && err == nil && c.turn == nil {`, "TestAHandshakeWaitsForATurn"),
	transports(`opening.go`, `flood-before-newcomers`, `a newcomer waits behind the handshakes of a flood`,
		`			close(t.waiting[i][last])
			t.waiting[i] = slices.Delete(t.waiting[i], last, last+1)`, `			close(t.waiting[i][0])
			t.waiting[i] = slices.Delete(t.waiting[i], 0, last-last+1)`, "TestHandshakesTakeTurns"),
	transports(`server.go`, `everybody-is-being-met`, `those who do not say who they are have all connections`,
		`	if len(s.opening) >= openingMax || len(s.conns)`, `	if len(s.conns)`, "TestConnectionsThatAreBeingMadeAreFew"),

	identifies(identityPeer, `any-cluster`, `a process of another cluster under the same CA is taken`,
		`	case n.Cluster != s.name.Cluster:`, `	case n.Cluster == "":`, testGood),
	identifies(identityPeer, `any-ca`, `a certificate of any CA is taken`,
		`	case err != nil:
		return Name{}, fmt.Errorf("the certificate of`, `	case err != nil && len(chain) > 9:
		return Name{}, fmt.Errorf("the certificate of`, testGood),
	identifies(identityPeer, `any-node`, `whoever is at an address is whom it is of`,
		`		if err == nil && !want.is(n) {`, `		if err == nil && n == (Name{}) {`, testGood),
	identifies(identityPeer, `nobody-is-denied`, `the deny-list is not looked at`,
		`	case st.denied[n.Name] || st.denied[n.Short()] || st.denied[n.String()]:`, `	case st.denied[""]:`, testGood),
	identifies(identityPeer, `connections-outlive-their-certificates`, `a connection goes on without an end`,
		`	if p.source.now().After(p.ends) {`, `	if p.ends.IsZero() {`, testGood),
	identifies(identityPeer, `looked-at-once`, `what the files say later on ends no connection`,
		`	if p.seen.Load() == st {`, `	if p.seen.Load() != st {`, testGood),
	identifies(identityFiles, `taken-before-it-is-good`, `a certificate that nobody takes yet replaces one that is good`,
		`		return nil, fmt.Errorf("certificate %s: it is good from`, `		_ = fmt.Errorf("certificate %s: it is good from`, testFiles),
	identifies(identityFiles, `half-a-bundle`, `half a file of two CAs ends the connections of the second`,
		`	case blocks != begun:`, `	case blocks > begun:`, testFiles),
	identifies(identityFiles, `denied-when-all-fits`, `a certificate that does not fit keeps others off the deny-list`,
		`	if was == nil && err != nil {
		return nil, err`, `	if err != nil {
		return nil, err`, testFiles),
	identifies(identityFiles, `denied-but-for-a-moment`, `a deny-list that is just being written lets all in`,
		`l.read && bytes.Equal(text, l.text)`, `l.read`, "TestADenyListIsNotEmptyForAMoment"),
	identifies(identityFiles, `denied-but-for-two-moments`, `two looks at a deny-list with one between them that found none are one after the other`,
		`l.read && bytes.Equal(text, l.text)`, `bytes.Equal(text, l.text)`, "TestADenyListIsNotEmptyForAMoment"),
	identifies(identityFiles, `half-a-name-stays-denied`, `what a deny-list said for a moment holds on`,
		`	all := maps.Clone(l.steady)
	maps.Copy(all, denied)
`, `	all := maps.Clone(l.steady)
	maps.Copy(all, denied)
	maps.Copy(l.steady, denied)
`, "TestADenyListIsNotEmptyForAMoment"),
	identifies(identityFiles, `lines-of-nobody`, `a line that denies nobody is taken without a word`,
		`		case err == nil:
`, `		case err == nil && number < 0:
`, testFiles),

	{Mutant{Name: `calls-in-a-row`, Story: `a node guesses how to answer in the place of another`, File: "netrpc/client.go",
		Old: `id := rand.Uint64() >> 16`, New: `id := rand.Uint64()>>63 + 1`}, "./netrpc", "TestANodeAnswersOnlyWhatItWasAsked"},
}

// TestIdentityMutantsStillApply: each matches the source.
func TestIdentityMutantsStillApply(t *testing.T) {
	for i := range identityMutants {
		_, err := identityMutants[i].sources(root)
		require.NoError(t, err)
	}
}

// TestIdentityMutants: each falls to its tests.
func TestIdentityMutants(t *testing.T) {
	fallToTests(t, len(identityMutants), func(i int) (*Mutant, string, string) {
		m := &identityMutants[i]
		return &m.Mutant, m.Package, m.Run
	})
}
