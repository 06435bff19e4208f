package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// canonical holds every kind of line, as String writes it.
const canonical = `# A replica that acks its own last seq instead of the verified prefix
#
#   makes the primary commit an entry the replica does not hold.
rule R7
mutant ack-own-last violates commit-durable
shows unverified-suffix-at-an-ack divergent-suffix-cut
expect violates acked writes survive
cluster nodes=5 replicas=2 clients=2 width=3 mode=durable reads=lease min-chain=2 placement=slots=16 log-keep=8 commands=3 sessions=4 chunk=2 quarantine=100ms on-group-loss=halt seed=18446744073709551615 batch=4
network latency=200µs..5ms connect=2
disk sync=1.5ms
clients timeout=700ms
clock n1 offset=5s ppm=-100
clock m offset=-1ns ppm=0
unhealed n2 n5
recorded events=812 hash=00c1f0d2a3b4e5f6 every=256 checkpoints=03f1a2b400ff
at 0s c1 put k1 v1
at 0s c1 put "a key" ""
at 10ms c2 get k1
at 10ms c2 get k1 -> ok v1
at 10ms c2 get k1 -> ok
at 10ms c1 get k9 -> not-found
at 12ms c2 cas k1 last v2
at 12ms c2 cas k1 0 "v\x003\n" -> group-lost
at 12.000001ms c2 cas k1 17 "|"
at 13ms c1 delete "#"
at 14ms c1 put k1 v4*1048576 -> ok
at 14ms c1 cas k1 last v5*3
at 20ms crash n2 keep=1
at 20ms crash m
at 20ms crash n1 keep=2 torn=40
at 21ms restart n2
at 30ms partition n1 n2 | n3 c1 | m
at 30ms cut n1>n2
at 35ms flaky n1>n2 drop=100 duplicate=50 delay=100 corrupt=10 delay-max=200ms
at 35ms flaky * drop=1000
at 36ms flaky m>n2
at 40ms heal
at 45ms reset n1>c2
at 50ms slow-disk n1 80ms
at 50ms slow-disk m 0s
at 50ms fail-sync n2 keep=1 torn=7
at 50ms fail-sync m
at 50ms full-disk n1
at 50ms free-disk n1
at 50ms rot n1 record=3
at 50ms misdirect m
at 50ms unreadable n3 record=1000000
at 50ms slow n1 20ms
at 50ms slow n1 0s
at 50ms clog n1>n2
at 50ms unclog n1>n2
at 50ms stall n1>n2 200ms
at 50ms lossy n1>n2 50
at 50ms lossy * 0
at 50ms mute n1>m
at 50ms bandwidth n1 12500000
at 50ms bandwidth c1 0
at 50ms stall-disk n1 250ms
at 50ms busy m 100µs
at 50ms move n1 n3
at 50ms c2 close
at 1m0s stop n3
at 1m0s forget n3
at 1m0s drain n3
at 1m0s wipe n3
at 1m0s pause m
at 1m0s pause c1
at 1m0s resume m
at 1m0s terms reads=confirm lease=300ms min-chain=2
at 1h0m0s restart m
drop n1>n2 Replicate#3
delay n1>m Suspect#1 50ms
duplicate c1>n1 Op#1000000
corrupt n2>n1 Ack#2
`

func TestTextRoundTrip(t *testing.T) {
	s, err := Parse(canonical)
	require.NoError(t, err)
	require.Equal(t, canonical, s.String())
	require.Equal(t, "", s.Story[1])
	require.Equal(t, "  makes the primary commit an entry the replica does not hold.", s.Story[2])
	require.Equal(t, core.ReadLease, s.Shape.Reads)
	require.Equal(t, []Clock{{"n1", 5 * time.Second, -100}, {"m", -1, 0}}, s.Shape.Clocks)
	require.Equal(t, Deviation{FateDelay, Link{"n1", "m"}, core.KindSuspect, 1, 50 * time.Millisecond}, s.Deviate[1])
	require.Equal(t, s, s.Clone())
	seen := map[Verb]bool{}
	for _, a := range s.Actions {
		seen[a.Verb] = true
	}
	require.Len(t, seen, int(VerbCount)-1, "a verb is missing from the text above")
}

// A large cluster may have a clock for each host.
func TestEachHostMayHaveAClock(t *testing.T) {
	s, err := Parse("cluster nodes=100 clients=16\n")
	require.NoError(t, err)
	for _, host := range append(s.Shape.ManagerHosts(), "c1", "c16") {
		s.Shape.Clocks = append(s.Shape.Clocks, Clock{host, time.Second, 1})
	}
	for i := range s.Shape.Nodes {
		s.Shape.Clocks = append(s.Shape.Clocks, Clock{"n" + strconv.Itoa(i+1), time.Second, -1})
	}
	require.NoError(t, s.Validate())
	read, err := Parse(s.String())
	require.NoError(t, err)
	require.Equal(t, s, read)
}

// Each line, after a heading with disks, means the action it is paired with.
func TestParseActions(t *testing.T) {
	at := 7 * time.Millisecond
	for line, want := range map[string]Action{
		"c1 put k v":                     {Verb: VerbPut, Host: "c1", Key: "k", Value: "v"},
		`c2 put put "get"`:               {Verb: VerbPut, Host: "c2", Key: "put", Value: "get"},
		`c1 put "last" ""`:               {Verb: VerbPut, Host: "c1", Key: "last"},
		"c1 get k":                       {Verb: VerbGet, Host: "c1", Key: "k"},
		"c1 delete k":                    {Verb: VerbDelete, Host: "c1", Key: "k"},
		"c1 cas k last v":                {Verb: VerbCAS, Host: "c1", Key: "k", Version: "last", Value: "v"},
		"c1 cas k 007 v":                 {Verb: VerbCAS, Host: "c1", Key: "k", Version: "7", Value: "v"},
		"crash n1":                       {Verb: VerbCrash, Host: "n1"},
		"crash m keep=4":                 {Verb: VerbCrash, Host: "m", Keep: 4},
		"restart n1":                     {Verb: VerbRestart, Host: "n1"},
		"wipe n1":                        {Verb: VerbWipe, Host: "n1"},
		"pause c2":                       {Verb: VerbPause, Host: "c2"},
		"resume m":                       {Verb: VerbResume, Host: "m"},
		"partition n1 | n2 c1|":          {},
		"partition n1 | n2 c1":           {Verb: VerbPartition, Groups: [][]string{{"n1"}, {"n2", "c1"}}},
		"cut m>n1":                       {Verb: VerbCut, Link: Link{"m", "n1"}},
		"heal":                           {Verb: VerbHeal},
		"flaky *":                        {Verb: VerbFlaky},
		"flaky n1>n2 corrupt=9 drop=1":   {Verb: VerbFlaky, Link: Link{"n1", "n2"}, Drop: 1, Corrupt: 9},
		"flaky * delay-max=1us delay=10": {Verb: VerbFlaky, Delay: 10, DelayMax: time.Microsecond},
		"reset n1>c1":                    {Verb: VerbReset, Link: Link{"n1", "c1"}},
		"slow-disk n3 1.5s":              {Verb: VerbSlowDisk, Host: "n3", Latency: 1500 * time.Millisecond},
		"stop n1":                        {Verb: VerbStop, Host: "n1"},
		"forget n1":                      {Verb: VerbForget, Host: "n1"},
		"c1 put k v*100":                 {Verb: VerbPut, Host: "c1", Key: "k", Value: "v", Size: 100},
		`c1 put k "v*100"`:               {Verb: VerbPut, Host: "c1", Key: "k", Value: "v*100"},
		"c1 put k v*1":                   {},
		"c1 get k -> ok v*100":           {},
		"stall n1>c1 1s":                 {Verb: VerbStall, Link: Link{"n1", "c1"}, Latency: time.Second},
		"lossy * 10":                     {Verb: VerbLossy, Rate: 10},
		"lossy * 1000":                   {},
		"mute *":                         {},
		"bandwidth m 1000":               {Verb: VerbBandwidth, Host: "m", Rate: 1000},
		"bandwidth m 999":                {},
		"busy c1 1ms":                    {},
		"move n1 n2":                     {Verb: VerbMove, Host: "n1", Target: "n2"},
		"move n1 n1":                     {},
		"terms reads=lease":              {Verb: VerbTerms, Terms: core.Terms{Reads: core.ReadLease}},
		"terms min-chain=2 lease=1s":     {Verb: VerbTerms, Terms: core.Terms{Lease: time.Second, MinChain: 2}},
		"terms":                          {},
		"terms m":                        {},
		"terms reads=never":              {},
		"terms lease=2m":                 {},
		"terms min-chain=4":              {},
	} {
		s, err := Parse("cluster mode=durable\r\n\n  at\t7ms " + line + " \r\n")
		if want.Verb == 0 {
			require.Error(t, err, line)
			continue
		}
		require.NoError(t, err, line)
		want.At = at
		require.Equal(t, []Action{want}, s.Actions, line)
		again, err := Parse(s.String())
		require.NoError(t, err, line)
		require.Equal(t, s, again, line)
	}
}

func TestParseDefaults(t *testing.T) {
	s, err := Parse("at 1s c1 get k\nnetwork latency=3ms\n# late\n\n\tcluster seed=9 replicas=1\nclock n2 ppm=5")
	require.NoError(t, err)
	want := DefaultShape()
	want.Seed, want.Replicas = 9, 1
	want.LatencyMin, want.LatencyMax = 3*time.Millisecond, 3*time.Millisecond
	want.Clocks = []Clock{{Host: "n2", PPM: 5}}
	require.Equal(t, want, s.Shape)
	require.Equal(t, []string{"late"}, s.Story)

	s, err = Parse("")
	require.NoError(t, err)
	require.Equal(t, &Schedule{Shape: DefaultShape()}, s)
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no such line", "crash n1", `line 1: "crash" begins no line: want at, drop`},
		{"line number", "# a\n\nrule R1\nfoo", "line 4: "},
		{"rule twice", "rule R1\nrule R2", "line 2: a second rule line (the first is line 1)"},
		{"rule empty", "rule", "line 1: rule without a name: want rule NAME"},
		{"expect empty", "expect ", "line 1: expect without a verdict: want expect holds"},
		{"recorded twice", "recorded events=1 hash=0000000000000001 every=1 checkpoints=0001\nrecorded", "line 2: a second recorded line"},
		{"recorded empty", "recorded", "line 1: something is missing: want recorded events=N hash=X every=N checkpoints=X"},
		{"recorded in part", "recorded events=3 every=4 checkpoints=", "line 1: something is missing"},
		{"recorded nothing", "# x\nrecorded events=0 hash=0000000000000001 every=1 checkpoints=", "line 2: events=0: want a number from 1 to 37000001"},
		{"recorded too much", "recorded events=37000002 hash=0000000000000001 every=1 checkpoints=", "line 1: events=37000002: want a number"},
		{"recorded hash", "recorded events=1 hash=1 every=1 checkpoints=0001", "line 1: hash=1: want 16 hexadecimal digits"},
		{"recorded hash in capitals", "recorded events=1 hash=000000000000000A every=1 checkpoints=0001", "line 1: hash=000000000000000A: want 16 hexadecimal digits, in lower case"},
		{"recorded every", "recorded events=9 hash=0000000000000001 every=3 checkpoints=000100020003", "line 1: every=3: want a power of two"},
		{"recorded every 0", "recorded events=9 hash=0000000000000001 every=0 checkpoints=", "line 1: every=0: want a power of two"},
		{"recorded too few checkpoints", "recorded events=9 hash=0000000000000001 every=4 checkpoints=0001", "line 1: 1 checkpoints of 9 events: want one every 4"},
		{"recorded half a checkpoint", "recorded events=4 hash=0000000000000001 every=4 checkpoints=00012", "line 1: checkpoints=00012: want 4 hexadecimal digits"},
		{"recorded no checkpoint", "recorded events=4 hash=0000000000000001 every=4 checkpoints=+001", "line 1: checkpoints=+001: want 4 hexadecimal digits"},
		{"recorded too many checkpoints", "recorded events=65 hash=0000000000000001 every=1 checkpoints=" + strings.Repeat("0001", 65), "line 1: checkpoints=00010001"},
		{"recorded something else", "recorded events=1 verdict=holds", "line 1: there is no verdict here: want events="},
		{"mutant empty", "mutant", "line 1: mutant without a name: want mutant NAME violates PROPERTY"},
		{"mutant", "# x\nmutant two names violates p", `line 2: "two names violates p": want NAME violates PROPERTY`},
		{"mutant without property", "mutant m violates ", `line 1: "m violates": want NAME violates PROPERTY`},
		{"shows empty", "shows", "line 1: shows without a mark: want shows MARK..."},
		{"shows no mark", "shows divergent-sufix", `line 1: "divergent-sufix" is no mark: near it are divergent-suffix-cut, `},
		{"shows twice", "shows no-witness no-witness", "line 1: the mark no-witness twice: want it once"},
		{"expect", "# x\nexpect sometimes", `line 2: "sometimes" is no verdict: want holds, violates PROPERTY or not applicable`},
		{"cluster twice", "cluster seed=1\ncluster nodes=3", "line 2: a second cluster line"},
		{"option twice", "cluster seed=1 seed=2", "line 1: seed twice"},
		{"option unknown", "cluster node=3", "line 1: there is no node here: want nodes=, managers=, replicas="},
		{"option of another line", "disk latency=3ms", "line 1: there is no latency here: want sync="},
		{"no option", "cluster nodes", `line 1: "nodes" is no option: want nodes=`},
		{"not a number", "cluster nodes=x", "line 1: nodes=x: want a number from 1 to 4000"},
		{"out of bounds", "cluster nodes=4001", "line 1: nodes=4001: want a number from 1 to 4000"},
		{"too many clients", "cluster clients=17", "line 1: clients=17: want a number from 1 to 16"},
		{"too many replicas", "cluster replicas=4", "line 1: replicas=4: want a number from 0 to 3"},
		{"seed", "cluster seed=-1", "line 1: seed=-1: want a number from 0"},
		{"mode", "cluster mode=disk", "line 1: mode=disk: want memory or durable"},
		{"reads", "cluster reads=stale", "line 1: reads=stale: want confirm or lease"},
		{"placement", "cluster placement=slots=3", "line 1: placement=slots=3: want key, or slots=N with a power of two from 2 to 65536"},
		{"min-chain", "at 0s heal\ncluster replicas=1 min-chain=3", "line 2: min-chain=3: want 1 to 2"},
		{"latency order", "network latency=2ms..1ms", "line 1: latency=2ms..1ms: want MIN..MAX"},
		{"latency zero", "network latency=0s", "line 1: latency=0s..0s: want MIN..MAX, each more than 0s"},
		{"latency text", "network latency=fast", "line 1: latency=fast: want MIN..MAX"},
		{"sync", "disk sync=2h", "line 1: sync=2h0m0s: want a duration from 0s to 1h0m0s"},
		{"timeout", "clients timeout=0s", "line 1: timeout=0s: want a duration from 1ns"},
		{"clock host", "clock n9 ppm=1", `line 1: there is no host "n9": want m or n1 to n3 or c1 to c2`},
		{"clock twice", "clock n1 ppm=1\nclock n1 ppm=2", "line 2: n1 has a clock already"},
		{"clock bare", "clock", "line 1: clock without a host: want clock HOST"},
		{"ppm", "clock n1 ppm=100001", "line 1: ppm=100001: want -100000 to 100000"},
		{"offset", "clock n1 offset=-2h", "line 1: offset=-2h0m0s: want -1h0m0s to 1h0m0s"},

		{"at bare", "at 1s", "line 1: at without a time and a verb"},
		{"time", "at noon heal", `line 1: "noon" is no time: want a duration such as 10ms`},
		{"time negative", "at -1s heal", "line 1: the time -1s: want 0s to 1h0m0s"},
		{"time too late", "at 61m heal", "line 1: the time 1h1m0s: want 0s to 1h0m0s"},
		{"order", "at 2s heal\nat 1s heal", "line 2: the time 1s is before the action above it: want 2s or later"},
		{"verb", "at 1s explode n1", `line 1: "explode" is no verb: want crash, restart`},
		{"verb of a client", "at 1s c1 crash", `line 1: "c1" is no verb`},
		{"call without client", "at 1s put k v", "line 1: put without a client: want at TIME cN put KEY VALUE"},
		{"call of a node", "at 1s n1 get k", "line 1: get does not apply to n1: want c1 to c2"},
		{"no such client", "at 1s c3 get k", `line 1: there is no host "c3": want c1 to c2`},
		{"short", "at 1s c1 put k", "line 1: put ends early: want at TIME cN put KEY VALUE"},
		{"long", "at 1s c1 get k v", `line 1: "v" is too much: want at TIME cN get KEY`},
		{"want nothing", "at 1s c1 get k ->", "line 1: the arrow points at nothing: want -> STATUS"},
		{"want no status", "at 1s c1 get k -> v", `line 1: "v" is no status: want such as ok, not-found`},
		{"want too much", "at 1s c1 get k -> ok v w", `line 1: "w" is too much`},
		{"want a value of a put", "at 1s c1 put k v -> ok v", "line 1: only a get that ends with ok has a value"},
		{"want a value of nothing", "at 1s c1 get k -> not-found v", "line 1: only a get that ends with ok has a value"},
		{"want of a fault", "at 1s crash n1 -> ok", `line 1: "->" is no option`},
		{"not a word", "at 1s c1 put k ä", "line 1: ä is no word"},
		{"open quotes", `at 1s c1 put k "v`, "line 1: \"v: the quotes do not match"},
		{"after quotes", `at 1s c1 put k "v"w`, `line 1: "v" goes on after the quotes`},
		{"quoted host", `at 1s crash "n1"`, `line 1: "n1" is quoted: only keys and values are`},
		{"value twice", "at 1s c1 put a v\nat 1s c1 get b\nat 2s c2 cas a 0 v", "line 3: the value v is written twice"},
		{"version", "at 1s c1 cas k -1 v", `line 1: the version "-1": want last or a number`},
		{"no such node", "at 1s crash n4", `line 1: there is no host "n4": want m or n1 to n3`},
		{"host form", "at 1s crash n01", `line 1: there is no host "n01"`},
		{"crash a client", "at 1s crash c1", "line 1: crash does not apply to c1: want m or n1 to n3"},
		{"crash m in memory", "at 1s crash m", "line 1: crash m: a manager in memory that restarts is another cluster: want mode=durable, or n1 to n3"},
		{"wipe m", "cluster mode=durable\nat 1s wipe m", "line 2: wipe does not apply to m: want n1 to n3"},
		{"stop m", "at 1s stop m", "line 1: stop does not apply to m"},
		{"slow disk in memory", "at 1s slow-disk n1 1s", "line 1: slow-disk: no host has a disk: want mode=durable"},
		{"slow disk of a client", "cluster mode=durable\nat 1s slow-disk c1 1s", "line 2: slow-disk does not apply to c1"},
		{"slow disk", "cluster mode=durable\nat 1s slow-disk n1 slow", `line 2: "slow" is no duration (such as 80ms): want at TIME slow-disk`},
		{"keep", "at 1s crash n1 keep=-1", "line 1: keep=-1: want 0 to"},
		{"link", "at 1s cut n1", `line 1: "n1" is no link (such as n1>n2): want at TIME cut FROM>TO`},
		{"link open", "at 1s flaky >", `line 1: ">" is no link`},
		{"link host", "at 1s cut n1>n7", `line 1: there is no host "n7"`},
		{"link to itself", "at 1s cut n1>n1", "line 1: n1>n1 is no link: want two hosts"},
		{"every link", "at 1s cut *", `line 1: "*" is no link`},
		{"one group", "at 1s partition n1 n2", "line 1: a partition has two groups at least"},
		{"empty group", "at 1s partition n1 |", "line 1: a group of the partition is empty"},
		{"host in two groups", "at 1s partition n1 | n1", "line 1: n1 is in the partition twice"},
		{"size", "at 1s c1 put k v*x", `line 1: "v*x" has no size: want VALUE*BYTES, such as v1*1048576: want at TIME cN put`},
		{"size too large", "at 1s c1 put k v*99999999", "line 1: v*99999999: want a bare word and more bytes than it has, at most"},
		{"size too small", "at 1s c1 put k v11*3", "line 1: v11*3: want a bare word and more bytes than it has, at most"},
		{"sizes", sizesText(40), "line 33: the padded values are too large: want at most 67108864 bytes in all"},
		{"connect", "network connect=9", "line 1: connect=9: want a number from 0 to 8"},
		{"lossy", "at 1s lossy n1>n2 901", "line 1: 901: want a permille, 0 to 900"},
		{"lossy short", "at 1s lossy n1>n2", "line 1: lossy ends early: want at TIME lossy FROM>TO|* PERMILLE"},
		{"bandwidth", "at 1s bandwidth n1 fast", `line 1: "fast" is no number: want at TIME bandwidth HOST BYTES-A-SECOND`},
		{"bandwidth too low", "at 1s bandwidth n1 10", "line 1: 10 bytes a second: want 0 for no bound, or 1000 to"},
		{"stall disk in memory", "at 1s stall-disk n1 1s", "line 1: stall-disk: no host has a disk: want mode=durable"},
		{"move in memory", "at 1s move n1 n2", "line 1: move: in memory no data outlives its process: want mode=durable"},
		{"move to itself", "cluster mode=durable\nat 1s move n1 n1", "line 2: move n1 n1: want two hosts"},
		{"move to a client", "cluster mode=durable\nat 1s move n1 c1", `line 2: there is no host "c1": want n1 to n3`},
		{"permille", "at 1s flaky * drop=1001", "line 1: drop=1001: want a permille, 0 to 1000"},
		{"delay alone", "at 1s flaky * delay=1", "line 1: delay without delay-max"},

		{"deviation short", "drop n1>n2", "line 1: 1 words after drop: want drop FROM>TO KIND#N"},
		{"deviation kind", "drop n1>n2 Nothing#1", `line 1: "Nothing" is no kind of message: want Register, Registered`},
		{"local kind", "drop n1>n2 Synced#1", `line 1: "Synced" is no kind of message`},
		{"no ordinal", "drop n1>n2 Ack", `line 1: "Ack" has no ordinal: want drop FROM>TO KIND#N, such as Ack#3`},
		{"ordinal", "drop n1>n2 Ack#0", "line 1: the ordinal 0: want 1 to"},
		{"deviation host", "drop n1>n8 Ack#1", `line 1: there is no host "n8"`},
		{"delay without time", "delay n1>n2 Ack#1", "line 1: 2 words after delay: want delay FROM>TO KIND#N DURATION"},
		{"delay of nothing", "delay n1>n2 Ack#1 0s", "line 1: the delay 0s: want more than 0s"},
		{"two fates", "drop n1>n2 Ack#1\ncorrupt n1>n2 Ack#1", "line 2: n1>n2 Ack#1 has a fate already"},
		{"too many actions", strings.Repeat("at 1s heal\n", ActionsMax+1), "line 10001: too many actions: want at most 10000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.text)
			require.Error(t, err)
			require.True(t, strings.HasPrefix(err.Error(), c.want), "got:  %s\nwant: %s", err, c.want)
		})
	}
}

// sizesText is a schedule of so many puts of two MiB.
func sizesText(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "at 1s c1 put k v%d*2097152\n", i)
	}
	return b.String()
}

// Validate refuses a schedule that has no text: writing it down would change it.
func TestValidateWhatTextCannotSay(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Schedule)
		want   string
	}{
		"story":     {func(s *Schedule) { s.Story = []string{"a\nb"} }, "sim: story: a line of the heading holds a line break"},
		"rule":      {func(s *Schedule) { s.Rule = " R7" }, "sim: rule:"},
		"shape":     {func(s *Schedule) { s.Shape = Shape{} }, "sim: cluster: nodes=0: want a number from 1"},
		"no verb":   {func(s *Schedule) { s.Actions = []Action{{}} }, "there is no verb 0"},
		"a verb":    {func(s *Schedule) { s.Actions = []Action{{Verb: 200}} }, "there is no verb 200"},
		"extra key": {func(s *Schedule) { s.Actions = []Action{{Verb: VerbHeal, Key: "k"}} }, "heal does not take a key: want at TIME heal"},
		"half link": {func(s *Schedule) { s.Actions = []Action{{Verb: VerbFlaky, Link: Link{From: "n1"}}} }, `there is no host ""`},
		"fate":      {func(s *Schedule) { s.Deviate = []Deviation{{}} }, "there is no fate 0"},
		"kind":      {func(s *Schedule) { s.Deviate = []Deviation{{Fate: FateDrop, Kind: core.KindStop}} }, "Stop is never on a wire"},
		"by": {func(s *Schedule) {
			s.Deviate = []Deviation{{Fate: FateDrop, Link: Link{"n1", "n2"}, Kind: core.KindAck, Ordinal: 1, By: 1}}
		}, "drop does not take a duration"},
	} {
		s := &Schedule{Shape: DefaultShape()}
		require.NoError(t, s.Validate())
		c.change(s)
		require.ErrorContains(t, s.Validate(), c.want, name)
		require.NotEmpty(t, s.String(), name)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(canonical)
	f.Add("")
	f.Add("#\n# \n#  x\r\nat 1s c1 put \"\\xff\" \"\"\n")
	f.Add("rule a\rb\nexpect violates  x")
	f.Add("recorded events=1 hash=0000000000000001 every=1 checkpoints=0001\n")
	f.Add("recorded events=7 checkpoints= every=8 hash=ffffffffffffffff")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		require.NoError(t, s.Validate())
		canonical := s.String()
		back, err := Parse(canonical)
		require.NoError(t, err, canonical)
		require.Equal(t, s, back)
		require.Equal(t, canonical, back.String())

		r := &Recording{3, 4, 2, []uint16{5}}
		s.Recorded = r
		back, err = Parse(WithRecording(text, r))
		require.NoError(t, err, text)
		require.Empty(t, cmp.Diff(s, back, cmpopts.EquateEmpty()), "a recording changes nothing else")
	})
}

// The limits on virtual time grow with the round trip.
func TestBoundsGrowWithTheRoundTrip(t *testing.T) {
	near, far := DefaultShape(), DefaultShape()
	far.LatencyMin, far.LatencyMax = 150*time.Millisecond, 150*time.Millisecond
	require.Equal(t, LivenessBound, near.LivenessBound())
	require.Equal(t, 38*time.Second, far.LivenessBound())
	require.Equal(t, SettleMax, near.SettleMax())
	require.Greater(t, far.SettleMax(), 3*time.Second)
	require.Greater(t, far.ReturnTime(), 3*time.Second)
	require.Equal(t, 2*38*time.Second+time.Second, far.FinalMax())
}
