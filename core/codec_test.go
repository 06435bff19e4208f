package core

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"gtstore/core/wire"
)

var (
	samplePeer   = Peer{ID: 0x0123456789abcdef, Addr: "10.0.0.1:7001"}
	sampleConfig = Config{
		Group: 3, Epoch: 9, Chain: []Peer{samplePeer, {ID: 2, Addr: "b:1"}, {ID: 3}},
		Joining: Peer{ID: 4, Addr: "d:1"}, Start: 8, Reads: ReadLease, Lease: 150 * time.Millisecond, MinChain: 2,
	}
	sampleEntry   = Entry{Epoch: 9, Kind: OpCAS, Session: 17, OpSeq: 4, Key: "key", Value: "value", Version: 12}
	sampleCommand = Command{
		Kind: CommandPlace, Node: NodeRecord{Peer: samplePeer, Name: "node1", Boot: 2},
		Terms: Terms{Reads: ReadLease, Lease: time.Second, MinChain: 2},
		Unit:  "key", Members: []NodeID{1, 2}, Skip: []GroupID{5, 6}, Group: 3, Epoch: 9, Remove: []NodeID{3},
	}
)

// sampleMessages holds at least one message of every kind, the first of them
// with no field left zero.
var sampleMessages = []Message{
	&Register{Boot: 1, Secret: 7, Before: 6, Durable: true, Inherited: 8, Name: "node1", Process: 4711, Index: 1000},
	&Register{Boot: math.MaxUint64, Name: strings.Repeat("n", NameBytesMax)},
	&Registered{Boot: 1, Secret: 7, Managers: []Peer{samplePeer}},
	&Farewell{Boot: 300, Token: 7},
	&Refused{Reason: RefusedMode, Wanted: 7, What: KindPing, Token: 7},
	&Forget{Req: 5, Node: 7},
	&Forgotten{Req: 5, Status: StatusNotFound},
	&StatusQuery{Req: 5, NodeFrom: 256, GroupFrom: 512},
	&StatusReply{
		Req: 5, Process: 4711, Replicas: 2, Keys: 1000, Mapped: 2000, Placement: 16384, NodeCount: 258, GroupCount: 513, DiskLag: time.Second,
		Nodes: []NodeStatus{
			{NodeRecord: NodeRecord{samplePeer, "node1", 4712, 2}, Group: 3, State: NodeUp},
			{NodeRecord: NodeRecord{Peer: Peer{ID: 2}}, Joining: 4, State: NodeGone, Draining: true, Quarantine: time.Second},
		},
		Groups: []GroupStatus{{Group: 3, Epoch: 9, State: GroupShort, Chain: []NodeID{7, 8}, Keys: 100, Terms: Terms{ReadLease, time.Second, 2}, Join: &JoinStatus{Node: 5, Age: time.Second}}},
	},
	&StatusReply{Req: 5, Placement: PlacementKey},
	&Ping{Nonce: 5, Index: 1000, Token: 7, Boot: 5, Start: 9, Began: 3},
	&Pong{Nonce: 5, Token: 7, Boot: 1, Index: 1000, Groups: []GroupEpoch{{1, 2}, {300, 400}},
		Join: &JoinProgress{Group: 3, Start: 8, Keys: 10, KeysTotal: 20, Bytes: 100, BytesTotal: 200}, Serves: 3, Keys: 20, Lag: time.Second},
	&Pong{Nonce: 5},
	&Probe{Nonce: 5, Target: samplePeer, Reach: true},
	&Probe{Nonce: 5},
	&ProbeReply{Nonce: 5, Refused: true},
	&sampleConfig,
	&Config{Group: 1, Epoch: 1, Chain: []Peer{{ID: 1}}, Reads: ReadConfirm},
	&Lookup{Req: 5, Key: "\x00any\xffbytes", Create: true},
	&Lookup{Req: 5, Key: strings.Repeat("k", KeyBytesMax)},
	&LookupReply{Req: 5, Status: StatusOK, Config: &sampleConfig, Have: 1, Need: math.MaxUint32, Placement: 16384},
	&LookupReply{Placement: PlacementKey, Req: 5, Status: StatusUnavailable, Have: 1, Need: 3},
	&Suspect{Group: 3, Epoch: 9, Node: 7, Refused: true, Token: 7},
	&Replicate{Group: 3, Epoch: 9, Round: 8, Config: &sampleConfig, Prev: EntryID{8, 11}, Entries: []Entry{sampleEntry, sampleEntry}, Commit: 10, Trim: 9},
	&Replicate{Group: 3, Epoch: 9, Round: 8, Prev: EntryID{8, 11}},
	&Replicate{Group: 3, Epoch: 9, Entries: []Entry{{Kind: OpOpen, Owner: 7}, {Kind: OpExpire, Session: 4}, {Kind: OpClose, Owner: 7}, {Kind: OpPut, Key: "k"}, {Kind: OpDelete, Key: "k"}}},
	&Ack{Group: 3, Epoch: 9, Round: 8, Matched: 12, Committed: 7},
	&Nack{Group: 3, Epoch: 9, Round: 8, Config: &sampleConfig, Last: 7},
	&Nack{Group: 3},
	&Chunk{Group: 3, Epoch: 9, Config: &sampleConfig, Start: 8, Tenure: 7, Attempt: 2, Number: 1, Sum: 77, Last: true, At: EntryID{8, 11},
		Items: []Item{{"key", "value", 11}, {Key: "gone"}}, Sessions: []SessionRecord{{ID: 3}, {5, 6, 2, StatusConflict, 4, 9}}},
	&Chunk{Group: 3, Epoch: 9, Start: 8, Tenure: 7, Attempt: 1},
	&ChunkAck{Group: 3, Epoch: 9, Start: 8, Tenure: 7, Attempt: 2, Next: 2, Refused: true, Held: EntryID{Epoch: 6, Seq: 5}},
	&CaughtUp{Group: 3, Epoch: 9, Start: 8, Node: 4, Token: 7},
	&Quorum{Text: "text"},
	&NotLeader{Req: 5, Token: 7, Leader: samplePeer, Term: 3},
	&NotLeader{},
	&Enlist{Durable: true},
	&ManagersQuery{Req: 5, Add: []Peer{samplePeer}, Remove: []NodeID{7, 8}},
	&ManagersQuery{Req: 5},
	&ManagersReply{Req: 5, Status: StatusOK, Why: "why", Term: 3, Changing: true, Managers: []ManagerStatus{{Peer: samplePeer, Leads: true, Silent: true, Lag: 9, Leaving: true}, {Peer: samplePeer}}},
	&ManagersReply{Req: 5, Status: StatusUnavailable},
	&Drain{Req: 5, Node: 7},
	&Drained{Req: 5, Status: StatusUnavailable},
	&Op{Group: 3, Req: 5, Kind: OpCAS, Session: 17, OpSeq: 4, Key: "key", Value: "value", Version: 12},
	&Op{Group: 3, Req: 5, Kind: OpGet, Key: "key"},
	&Op{Group: 3, Req: 5, Kind: OpOpen},
	&Reply{Group: 3, Req: 5, Status: StatusNotPrimary, Epoch: 9, Version: 12, Value: "value", Config: &sampleConfig},
	&Reply{Group: 3, Req: 5, Status: StatusOK},
	&Export{Group: 3, Req: 5, Tenure: 7, Cursor: 1000, Position: 12, Fresh: 1 << 16},
	&Export{Group: 3, Req: 5},
	&Exported{Group: 3, Req: 5, Status: StatusNotPrimary, Epoch: 9, Config: &sampleConfig, Tenure: 7, Anew: true,
		Items: []Item{{"key", "value", 11}, {Key: "gone"}}, Fresh: 8, Cursor: 998, Position: 12, Commit: 13, Keys: 1000, All: true},
	&Exported{Group: 3, Req: 5, Status: StatusOverloaded},
	&Call{ID: 1, Kind: OpCAS, Key: "key", Value: "value", Version: 12, Timeout: time.Second},
	&Call{ID: 1, Kind: OpPut, Key: strings.Repeat("k", KeyBytesMax+1)},
	&Cancel{ID: 1},
	&Result{ID: 1, Status: StatusUnknown, Cause: StatusOverloaded, Sent: true, Displaced: true, Version: 12, Value: "value",
		Node: 7, Group: 3, Epoch: 9, Have: 1, Need: 3},
	&PeerDown{Peer: samplePeer, Refused: true},
	&Stop{},
	&Synced{Nonce: 5},
	&Committed{Index: 1000, Command: sampleCommand},
}

var sampleCommands = []Command{
	sampleCommand,
	{Kind: CommandRegister, Node: NodeRecord{Peer: samplePeer, Name: "node1", Boot: 2}},
	{Kind: CommandPlace, Unit: "key", Terms: Terms{Reads: ReadConfirm, MinChain: 1}},
	{Kind: CommandReconfigure, Group: 3, Epoch: 9, Remove: []NodeID{7}},
	{Kind: CommandGone, Node: NodeRecord{Peer: Peer{ID: 7}}},
	{Kind: CommandJoin, Group: 3, Epoch: 9, Node: NodeRecord{Peer: Peer{ID: 7}}},
	{Kind: CommandMember, Group: 3, Epoch: 9, Node: NodeRecord{Peer: Peer{ID: 7}}},
	{Kind: CommandDrain, Node: NodeRecord{Peer: Peer{ID: 7}}},
	{Kind: CommandStay, Node: NodeRecord{Peer: Peer{ID: 7}}},
	{Kind: CommandTerms, Group: 3, Epoch: 9, Terms: Terms{ReadLease, time.Second, 2}},
	{Kind: CommandFound, Group: 3, Epoch: 9},
	{Kind: CommandDoubtful, Group: 3, Epoch: 9},
	{Kind: CommandLost, Group: 3, Epoch: 9},
	{Kind: CommandHalt},
	{Kind: CommandGoOn},
}

var sampleEntries = []Entry{
	sampleEntry, {Epoch: 1, Kind: OpOpen}, {Epoch: 1, Kind: OpExpire, Session: 3},
	{Epoch: 1, Kind: OpPut, Session: 3, OpSeq: 1, Key: "k", Value: strings.Repeat("v", 300)},
	{Epoch: 1, Kind: OpDelete, Session: 3, OpSeq: 1, Key: "k"},
}

func enveloped(m Message) *Envelope {
	return &Envelope{Cluster: 0xfedcba9876543210, From: samplePeer, To: Peer{ID: 2, Addr: "b:1"}, Body: m}
}

func eachWireSample(t *testing.T, f func(t *testing.T, e *Envelope)) {
	for i, m := range sampleMessages {
		if !kinds[KindOf(m)].local {
			t.Run(fmt.Sprintf("%v#%d", KindOf(m), i), func(t *testing.T) { f(t, enveloped(m)) })
		}
	}
}

// wireKinds are the kinds of messages that go over a wire.
func wireKinds() (list []Kind) {
	for k := Kind(1); k < kindEnd; k++ {
		if !k.Local() {
			list = append(list, k)
		}
	}
	return list
}

func TestEveryKindHasASampleWithNoZeroField(t *testing.T) {
	first := map[Kind]Message{}
	for _, m := range sampleMessages {
		if first[KindOf(m)] == nil {
			first[KindOf(m)] = m
		}
	}
	for kind := Kind(1); int(kind) < KindCount; kind++ {
		require.NotNil(t, first[kind], "no sample of %v", kind)
		body := reflect.ValueOf(first[kind]).Elem()
		for i := range body.NumField() {
			require.False(t, body.Field(i).IsZero(), "%v.%s of the sample is zero", kind, body.Type().Field(i).Name)
		}
	}
}

func TestEnvelopeRoundTrip(t *testing.T) {
	eachWireSample(t, func(t *testing.T, in *Envelope) {
		frame := AppendEnvelope([]byte("before"), in)
		require.Equal(t, "before", string(frame[:6]))
		frame = frame[6:]
		out, err := DecodeEnvelope(frame)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(in, &out))

		clear(frame) // what was decoded must not change with the buffer
		require.Empty(t, cmp.Diff(in, &out))
	})
}

// recorded is the record of v under the key "key", as bytes.
func recorded(tag byte, v coded) []byte { return []byte(new(recorder).record("key", tag, v)) }

// roundTrip has a record of in read again.
func roundTrip[T any, P interface {
	*T
	coded
}](t *testing.T, tag byte, in T) {
	t.Helper()
	var out T
	require.NoError(t, readRecord("key", string(recorded(tag, P(&in))), tag, P(&out)))
	require.Empty(t, cmp.Diff(in, out, cmp.AllowUnexported(in, directorySeen{})))
}

func TestRecordRoundTrip(t *testing.T) {
	for _, in := range sampleCommands {
		roundTrip(t, tagCommand, in)
	}
	for _, in := range sampleEntries {
		roundTrip(t, tagEntry, in)
	}
	roundTrip(t, tagConfig, sampleConfig)
	roundTrip(t, tagIdentity, identity{id: 1, cluster: 2, boot: 3, seen: directorySeen{index: 4, boot: 5, start: 3, before: 2}, leaseMax: 5, manager: 6, secret: 7, known: 8})
	roundTrip(t, tagProgress, progress{base: EntryID{1, 2}, applied: 3, commit: 8, start: 4, partial: true, tenure: 5, attempt: 6, chunks: 7})
	roundTrip(t, tagValue, value{data: "a", version: 1})
	roundTrip(t, tagSession, SessionRecord{ID: 1, Owner: 9, Last: 2, Status: StatusOK, Version: 3, Ended: 4})

	err := readRecord("key", string(recorded(tagConfig, &sampleConfig)), tagEntry, new(Entry))
	require.ErrorIs(t, err, wire.ErrMalformed, "a record of another type")
	_, err = DecodeEnvelope([]byte(new(recorder).record("", tagEntry, &sampleEntry)))
	require.ErrorIs(t, err, wire.ErrVersion, "a record is no envelope")
	err = readRecord("", string(AppendEnvelope(nil, enveloped(&Ping{Nonce: 1, Boot: 1}))), tagEntry, new(Entry))
	require.ErrorIs(t, err, wire.ErrVersion, "an envelope is no record")
}

func TestEveryFlippedBitAndEveryTruncationIsDetected(t *testing.T) {
	damaged := func(t *testing.T, frame []byte, decode func([]byte) error) {
		require.NoError(t, decode(frame))
		for bit := range 8 * len(frame) {
			frame[bit/8] ^= 1 << (bit % 8)
			require.ErrorIs(t, decode(frame), wire.ErrChecksum, "bit %d", bit)
			frame[bit/8] ^= 1 << (bit % 8)
		}
		for n := range len(frame) {
			require.Error(t, decode(frame[:n]), "%d bytes of %d", n, len(frame))
		}
	}
	eachWireSample(t, func(t *testing.T, e *Envelope) {
		damaged(t, AppendEnvelope(nil, e), func(b []byte) error { _, err := DecodeEnvelope(b); return err })
	})
	damagedRecord := func(tag byte, v, out coded) {
		damaged(t, recorded(tag, v), func(b []byte) error { return readRecord("key", string(b), tag, out) })
	}
	damagedRecord(tagCommand, &sampleCommand, new(Command))
	damagedRecord(tagEntry, &sampleEntry, new(Entry))
	damagedRecord(tagConfig, &sampleConfig, new(Config))
}

// Without the checksum, a cut payload must still be refused: no value ends
// where another one could.
func TestEveryTruncationOfThePayloadIsDetected(t *testing.T) {
	eachWireSample(t, func(t *testing.T, e *Envelope) {
		frame := AppendEnvelope(nil, e)
		payload := frame[1 : len(frame)-4]
		for n := range len(payload) {
			_, err := DecodeEnvelope(framed(payload[:n]))
			require.ErrorIs(t, err, wire.ErrTruncated, "%d bytes of %d", n, len(payload))
		}
		_, err := DecodeEnvelope(framed(append(payload[:len(payload):len(payload)], 0)))
		require.ErrorIs(t, err, wire.ErrMalformed, "a byte left over")
	})
}

// framed makes an intact frame of any payload.
func framed(payload []byte) []byte {
	b := append([]byte{wire.MessageVersion}, payload...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

func TestLocalMessagesNeverReachAWire(t *testing.T) {
	local := 0
	for _, m := range sampleMessages {
		if !kinds[KindOf(m)].local {
			continue
		}
		local++
		e := enveloped(m)
		require.PanicsWithValue(t,
			fmt.Sprintf("core: node 0123456789abcdef sends %v to node 0000000000000002: a local message has no place on a wire", KindOf(m)),
			func() { AppendEnvelope(nil, e) })
		c := wire.NewFrame(nil)
		codeEnvelope(&c, e)
		_, err := DecodeEnvelope(c.Seal())
		require.ErrorIs(t, err, wire.ErrMalformed)
		require.ErrorContains(t, err, "core: envelope: wire: malformed: local message at offset 2")
	}
	require.GreaterOrEqual(t, local, 6)
}

func TestOutsideTheLimits(t *testing.T) {
	text := func(n int) string { return strings.Repeat("x", n) }
	config := func(change func(*Config)) *Config {
		c := sampleConfig
		c.Chain = append([]Peer(nil), c.Chain...)
		change(&c)
		return &c
	}
	chain := func(n int) (peers []Peer) {
		for i := range n {
			peers = append(peers, Peer{ID: NodeID(i + 1)})
		}
		return peers
	}
	batch := func(entries ...Entry) Message { return &Replicate{Entries: entries} }
	tests := []struct {
		name  string
		m     Message
		class error
	}{
		{"long name", &Register{Name: text(NameBytesMax + 1)}, wire.ErrLimit},
		{"long address", &Probe{Target: Peer{Addr: text(AddrBytesMax + 1)}}, wire.ErrLimit},
		{"no reason", &Refused{What: KindOp}, wire.ErrMalformed},
		{"reason out of range", &Refused{Reason: refusalEnd, What: KindOp}, wire.ErrMalformed},
		{"kind out of range", &Refused{Reason: RefusedBoot, What: kindEnd}, wire.ErrMalformed},
		{"status out of range", &Forgotten{Status: statusEnd}, wire.ErrMalformed},
		{"too many groups", &Pong{Groups: make([]GroupEpoch, GroupsMax+1)}, wire.ErrLimit},
		{"negative lag", &Pong{Lag: -1}, wire.ErrMalformed},
		{"empty chain", config(func(c *Config) { c.Chain = nil }), wire.ErrMalformed},
		{"long chain", config(func(c *Config) { c.Chain = chain(ChainMax + 1) }), wire.ErrLimit},
		{"chain with no node", config(func(c *Config) { c.Chain[1].ID = 0 }), wire.ErrMalformed},
		{"chain with one node twice", config(func(c *Config) { c.Chain[2].ID = c.Chain[0].ID }), wire.ErrMalformed},
		{"no read mode", config(func(c *Config) { c.Reads = 0 }), wire.ErrMalformed},
		{"read mode out of range", config(func(c *Config) { c.Reads = readModeEnd }), wire.ErrMalformed},
		{"negative lease", config(func(c *Config) { c.Lease = -1 }), wire.ErrMalformed},
		{"bad config inside", &Nack{Config: config(func(c *Config) { c.Chain = nil })}, wire.ErrMalformed},
		{"no key to look up", &Lookup{}, wire.ErrMalformed},
		{"long key to look up", &Lookup{Key: text(KeyBytesMax + 1)}, wire.ErrLimit},
		{"op out of range", &Op{Kind: opKindEnd, Key: "k"}, wire.ErrMalformed},
		{"op without key", &Op{Kind: OpGet}, wire.ErrMalformed},
		{"op with long key", &Op{Kind: OpPut, Key: text(KeyBytesMax + 1)}, wire.ErrLimit},
		{"op with long value", &Op{Kind: OpPut, Key: "k", Value: text(ValueBytesMax + 1)}, wire.ErrLimit},
		{"open with key", &Op{Kind: OpOpen, Key: "k"}, wire.ErrMalformed},
		{"expire as a request", &Op{Kind: OpExpire}, wire.ErrMalformed},
		{"get in a log", batch(Entry{Kind: OpGet, Key: "k"}), wire.ErrMalformed},
		{"entry without key", batch(Entry{Kind: OpDelete}), wire.ErrMalformed},
		{"entry of expire with key", batch(Entry{Kind: OpExpire, Key: "k"}), wire.ErrMalformed},
		{"entry with long value", batch(Entry{Kind: OpPut, Key: "k", Value: text(ValueBytesMax + 1)}), wire.ErrLimit},
		{"too many entries", &Replicate{Entries: make([]Entry, BatchEntriesMax+1)}, wire.ErrLimit},
		{"too many bytes of entries", batch(Entry{Kind: OpPut, Key: "k", Value: text(ValueBytesMax)}, Entry{Kind: OpOpen}), wire.ErrLimit},
		{"reply with long value", &Reply{Status: StatusOK, Value: text(ValueBytesMax + 1)}, wire.ErrLimit},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := enveloped(test.m)
			c := wire.NewFrame(nil)
			codeEnvelope(&c, e)
			require.ErrorIs(t, c.Err(), test.class, "encoding")
			if b := c.Seal(); len(b) <= FrameBytesMax {
				_, err := DecodeEnvelope(b)
				require.ErrorIs(t, err, test.class, "decoding")
				require.ErrorContains(t, err, KindOf(test.m).String())
			}
			require.Panics(t, func() { AppendEnvelope(nil, e) })
			HashEnvelope(nil, e)
		})
	}
}

func TestCommandsOutsideTheLimits(t *testing.T) {
	tests := []struct {
		name  string
		cmd   Command
		class error
	}{
		{"no kind", Command{}, wire.ErrMalformed},
		{"kind out of range", Command{Kind: commandKindEnd}, wire.ErrMalformed},
		{"place without key", Command{Kind: CommandPlace, Terms: Terms{Reads: ReadConfirm}}, wire.ErrMalformed},
		{"gone with key", Command{Kind: CommandGone, Unit: "k"}, wire.ErrMalformed},
		{"too many members", Command{Kind: CommandPlace, Unit: "k", Terms: Terms{Reads: ReadConfirm}, Members: make([]NodeID, ChainMax+1)}, wire.ErrLimit},
		{"too many to remove", Command{Kind: CommandReconfigure, Remove: make([]NodeID, ChainMax+1)}, wire.ErrLimit},
		{"too many to skip", Command{Kind: CommandPlace, Unit: "k", Terms: Terms{Reads: ReadConfirm}, Skip: make([]GroupID, skipMax+1)}, wire.ErrLimit},
		{"long name", Command{Kind: CommandRegister, Node: NodeRecord{Name: strings.Repeat("n", NameBytesMax+1)}}, wire.ErrLimit},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := wire.NewRecord(nil)
			c.Tag(tagCommand)
			test.cmd.code(&c)
			err := readRecord("key", string(c.SealFor("key")), tagCommand, new(Command))
			require.ErrorIs(t, err, test.class)
			require.Panics(t, func() { recorded(tagCommand, &test.cmd) })
		})
	}
}

func TestFrameBytesMaxHolds(t *testing.T) {
	fat := Peer{ID: math.MaxUint64, Addr: strings.Repeat("a", AddrBytesMax)}
	config := &Config{Group: math.MaxUint64, Epoch: math.MaxUint64, Joining: Peer{ID: 1, Addr: fat.Addr}, Start: math.MaxUint64, Reads: ReadLease, Lease: math.MaxInt64, MinChain: math.MaxUint32}
	for i := range ChainMax {
		config.Chain = append(config.Chain, Peer{ID: fat.ID - NodeID(i), Addr: fat.Addr})
	}
	entry := Entry{Epoch: math.MaxUint64, Kind: OpCAS, Session: math.MaxUint64, OpSeq: math.MaxUint64, Version: math.MaxUint64}
	one, many := entry, entry
	one.Key, one.Value = strings.Repeat("k", KeyBytesMax), strings.Repeat("v", ValueBytesMax)
	many.Key, many.Value = "k", strings.Repeat("v", BatchBytesMax/BatchEntriesMax-1)
	fatReplicate := func(n int, entry Entry) *Replicate {
		m := &Replicate{Group: math.MaxUint64, Epoch: math.MaxUint64, Round: math.MaxUint64, Config: config,
			Prev: EntryID{math.MaxUint64, math.MaxUint64}, Commit: math.MaxUint64}
		for range n {
			m.Entries = append(m.Entries, entry)
		}
		return m
	}
	pong := &Pong{Nonce: math.MaxUint64, Boot: math.MaxUint64, Index: math.MaxUint64, Lag: math.MaxInt64}
	for range GroupsMax {
		pong.Groups = append(pong.Groups, GroupEpoch{math.MaxUint64, math.MaxUint64})
	}
	fatChunk := &Chunk{Group: math.MaxUint64, Epoch: math.MaxUint64, Config: config, Start: math.MaxUint64, Tenure: math.MaxUint64,
		Attempt: math.MaxUint64, Number: math.MaxUint64, Sum: math.MaxUint64, At: EntryID{math.MaxUint64, math.MaxUint64}}
	for range ChunkItemsMax - 1 {
		fatChunk.Items = append(fatChunk.Items, Item{"k", strings.Repeat("v", ChunkBytesMax/ChunkItemsMax-1), math.MaxUint64})
	}
	fatChunk.Items = append(fatChunk.Items, Item{one.Key, one.Value, math.MaxUint64})
	longest := 0
	for _, m := range []Message{
		fatReplicate(1, one), fatReplicate(BatchEntriesMax, many), fatChunk, pong,
		&LookupReply{Placement: SlotsMax, Req: math.MaxUint64, Status: StatusOK, Config: config, Have: math.MaxUint32, Need: math.MaxUint32},
		&Op{Group: math.MaxUint64, Req: math.MaxUint64, Kind: OpCAS, Session: math.MaxUint64, OpSeq: math.MaxUint64,
			Key: one.Key, Value: one.Value, Version: math.MaxUint64},
		&Reply{Group: math.MaxUint64, Req: math.MaxUint64, Status: StatusOK, Epoch: math.MaxUint64, Version: math.MaxUint64,
			Value: one.Value, Config: config},
	} {
		in := &Envelope{Cluster: math.MaxUint64, From: fat, To: fat, Body: m}
		b := AppendEnvelope(nil, in)
		require.LessOrEqual(t, len(b), FrameBytesMax, "%v", KindOf(m))
		out, err := DecodeEnvelope(b)
		require.NoError(t, err)
		require.True(t, reflect.DeepEqual(in, &out))
		longest = max(longest, len(b))
	}
	require.Greater(t, longest, FrameBytesMax-FrameBytesMax/10, "a bound that is far off would hide a new field")
	_, err := DecodeEnvelope(make([]byte, FrameBytesMax+1))
	require.ErrorIs(t, err, wire.ErrLimit)
}

// A field that was left out of a field list would be lost on every wire, and
// not be seen by the simulator's hashes.
func TestHashSeesEveryField(t *testing.T) {
	for i, m := range sampleMessages {
		e := enveloped(m)
		before, scratch := HashEnvelope(nil, e)
		changes := eachField(reflect.ValueOf(e).Elem(), "Envelope", func(field string) {
			var after uint64
			after, scratch = HashEnvelope(scratch, e)
			require.NotEqual(t, before, after, "sample %d, %v: %s", i, KindOf(m), field)
		})
		require.GreaterOrEqual(t, changes, 5, "at least the fields of the envelope itself")
		again, _ := HashEnvelope(scratch, e)
		require.Equal(t, before, again, "sample %d: the test did not put everything back", i)
	}
}

// eachField changes, one after the other, every field that v holds, calls f,
// puts the field back, and returns how many fields it changed.
func eachField(v reflect.Value, path string, f func(path string)) int {
	changed := func(set func()) int {
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		set()
		f(path)
		v.Set(old)
		return 1
	}
	n := 0
	switch v.Kind() {
	case reflect.Bool:
		return changed(func() { v.SetBool(!v.Bool()) })
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		return changed(func() { v.SetUint(v.Uint() ^ 1) })
	case reflect.Int64:
		return changed(func() { v.SetInt(v.Int() ^ 1) })
	case reflect.String:
		return changed(func() { v.SetString(v.String() + "!") })
	case reflect.Interface:
		return eachField(v.Elem().Elem(), path+"."+v.Elem().Elem().Type().Name(), f)
	case reflect.Pointer:
		if v.IsNil() {
			return 0
		}
		n = changed(func() { v.SetZero() })
		return n + eachField(v.Elem(), path, f)
	case reflect.Slice:
		n = changed(func() { v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem()))) })
		for i := range v.Len() {
			n += eachField(v.Index(i), fmt.Sprintf("%s[%d]", path, i), f)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			n += eachField(v.Field(i), path+"."+v.Type().Field(i).Name, f)
		}
	default:
		panic("no way to change a " + v.Type().String())
	}
	return n
}

func TestRandomEnvelopesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := &Envelope{Body: kinds[rapid.SampledFrom(wireKinds()).Draw(t, "kind")].make()}
		draw(t, reflect.ValueOf(in).Elem(), "Envelope")
		b := AppendEnvelope(nil, in)
		out, err := DecodeEnvelope(b)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(in, &out))
		require.Equal(t, b, AppendEnvelope(nil, &out))
	})
}

// draw fills v with random values that the codec accepts.
func draw(t *rapid.T, v reflect.Value, path string) {
	ends := map[reflect.Type]uint8{
		reflect.TypeFor[Kind](): uint8(kindEnd), reflect.TypeFor[Refusal](): uint8(refusalEnd),
		reflect.TypeFor[Status](): uint8(statusEnd), reflect.TypeFor[ReadMode](): uint8(readModeEnd),
		reflect.TypeFor[OpKind]():    uint8(OpCAS) + 1,
		reflect.TypeFor[NodeState](): uint8(nodeStateEnd), reflect.TypeFor[GroupState](): uint8(groupStateEnd),
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, path))
	case reflect.Uint8:
		v.SetUint(uint64(rapid.Uint8Range(1, ends[v.Type()]-1).Draw(t, path)))
	case reflect.Uint32:
		v.SetUint(uint64(rapid.Uint32().Draw(t, path)))
	case reflect.Uint64:
		v.SetUint(rapid.Uint64().Draw(t, path))
	case reflect.Int64:
		v.SetInt(rapid.Int64Min(0).Draw(t, path))
	case reflect.String:
		v.SetString(rapid.StringN(1, 15, NameBytesMax).Draw(t, path))
	case reflect.Interface:
		draw(t, v.Elem().Elem(), path)
	case reflect.Pointer:
		if rapid.Bool().Draw(t, path) {
			v.Set(reflect.New(v.Type().Elem()))
			draw(t, v.Elem(), path)
		}
	case reflect.Slice:
		n := rapid.IntRange(0, 3).Draw(t, path)
		if v.Type() == reflect.TypeFor[[]Peer]() {
			n++
		}
		if n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
		}
		for i := range n {
			draw(t, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
			if peer, ok := v.Index(i).Addr().Interface().(*Peer); ok {
				peer.ID = peer.ID<<3 | NodeID(i+1) // distinct and not zero: at most 4 peers are drawn
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			draw(t, v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	}
	if config, ok := v.Addr().Interface().(*Config); ok {
		config.Joining.ID = config.Joining.ID<<3 | 7 // no member's
	}
	if entry, ok := v.Addr().Interface().(*Entry); ok && entry.Kind == OpGet {
		entry.Kind, entry.Key = OpExpire, ""
	}
	if p, ok := v.Addr().Interface().(*Placement); ok {
		*p = 1 << (*p % 17)
	}
}

// A few bytes that claim a lot must not make the decoder allocate it.
func TestLyingCountsCostNothing(t *testing.T) {
	head := func(kind Kind) []byte { return append([]byte{byte(kind)}, make([]byte, 8+2*9)...) }
	count := func(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }
	for name, payload := range map[string][]byte{
		"entries": count(append(head(KindReplicate), 1, 1, 1, 0, 1, 1), BatchEntriesMax),
		"chain":   count(append(head(KindConfig), 1, 1), ChainMax),
		"groups":  count(append(head(KindPong), 1, 1, 1), GroupsMax),
		"value":   count(append(head(KindOp), 1, 1, byte(OpPut), 1, 1, 1, 'k'), ValueBytesMax),
	} {
		t.Run(name, func(t *testing.T) {
			b := framed(payload)
			require.Less(t, allocatedBytes(func() {
				for range 1000 {
					_, err := DecodeEnvelope(b)
					require.ErrorIs(t, err, wire.ErrTruncated)
				}
			}), uint64(4<<20))
		})
	}
}

// allocatedBytes returns about how much f allocates.
func allocatedBytes(f func()) uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	f()
	metrics.Read(sample)
	return sample[0].Value.Uint64() - before
}

// decodeBytesMax bounds what decoding a frame of n bytes may allocate: a
// GroupEpoch, 16 bytes in memory and 2 on the wire, is about the worst; the
// rest is for errors and for the runtime's own.
func decodeBytesMax(n int) uint64 { return uint64(32*n) + 1<<20 }

func TestAllocations(t *testing.T) {
	e := benchmarkReplicate(64)
	buf := AppendEnvelope(nil, e)
	_, scratch := HashEnvelope(nil, e)
	require.Zero(t, testing.AllocsPerRun(100, func() { buf = AppendEnvelope(buf[:0], e) }), "encode")
	require.Zero(t, testing.AllocsPerRun(100, func() { _, scratch = HashEnvelope(scratch, e) }), "hash")
	require.Zero(t, testing.AllocsPerRun(100, func() { require.True(t, inRange(e)) }), "check")
	var out Envelope
	require.Equal(t, 2+64*2+2.0, testing.AllocsPerRun(100, func() { out, _ = DecodeEnvelope(buf) }),
		"the message, its entries, their keys and values, two addresses")
	require.Equal(t, 2+64*2.0, testing.AllocsPerRun(100, func() { _ = DecodeEnvelopeInto(&out, buf, "") }),
		"as above, with the addresses known")

	var r recorder
	for _, v := range []coded{&sampleEntry, &sampleCommand} {
		r.record("key", tagEntry, v)
		require.Equal(t, 1.0, testing.AllocsPerRun(100, func() { r.record("key", tagEntry, v) }), "the record")
	}
}

func TestDecodeIntoLeavesTheEnvelopeOnError(t *testing.T) {
	e := *enveloped(&Ping{Nonce: 1, Boot: 1})
	before := e
	b := AppendEnvelope(nil, enveloped(&Pong{Nonce: 2}))
	b[3] ^= 1
	require.Error(t, DecodeEnvelopeInto(&e, b, ""))
	require.Equal(t, before, e)
}

func FuzzDecodeEnvelope(f *testing.F) {
	for _, m := range sampleMessages {
		c := wire.NewFrame(nil)
		codeEnvelope(&c, enveloped(m))
		b := c.Seal()
		f.Add(b[1 : len(b)-4])
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		_, _ = DecodeEnvelope(payload) // as it is: nearly always a broken frame
		b := framed(payload)
		var e Envelope
		var err error
		if got := allocatedBytes(func() { e, err = DecodeEnvelope(b) }); got > decodeBytesMax(len(b)) {
			t.Fatalf("%d bytes allocated to decode %d", got, len(b))
		}
		if err == nil {
			require.Equal(t, b, AppendEnvelope(nil, &e))
		}
	})
}

// FuzzReadRecord reads any payload as each type of record.
func FuzzReadRecord(f *testing.F) {
	types := []struct {
		tag byte
		new func() coded
	}{
		{tagCommand, func() coded { return new(Command) }},
		{tagEntry, func() coded { return new(Entry) }},
		{tagConfig, func() coded { return new(Config) }},
		{tagIdentity, func() coded { return new(identity) }},
		{tagProgress, func() coded { return new(progress) }},
		{tagValue, func() coded { return new(value) }},
		{tagSession, func() coded { return new(SessionRecord) }},
	}
	add := func(tag byte, v coded) {
		b := recorded(tag, v)
		f.Add(b[1 : len(b)-4])
	}
	for _, cmd := range sampleCommands {
		add(tagCommand, &cmd)
	}
	for _, entry := range sampleEntries {
		add(tagEntry, &entry)
	}
	add(tagConfig, &sampleConfig)
	f.Fuzz(func(t *testing.T, payload []byte) {
		b := append([]byte{wire.RecordVersion}, payload...)
		b = append(b, "key"...)
		text := string(binary.LittleEndian.AppendUint32(b[:len(b)-len("key")], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))))
		for _, typ := range types {
			_ = readRecord("key", string(payload), typ.tag, typ.new())
			if v := typ.new(); readRecord("key", text, typ.tag, v) == nil {
				require.Equal(t, text, new(recorder).record("key", typ.tag, v))
			}
		}
	})
}

func benchmarkReplicate(n int) *Envelope {
	random := rand.New(rand.NewPCG(1, 2))
	m := &Replicate{Group: 3, Epoch: 9, Round: 123456, Prev: EntryID{9, 1000}, Commit: 1000}
	for range n {
		value := make([]byte, 100)
		for i := range value {
			value[i] = byte(random.Uint32())
		}
		m.Entries = append(m.Entries, Entry{Epoch: 9, Kind: OpPut, Session: 17, OpSeq: random.Uint64N(1 << 20),
			Key: fmt.Sprintf("key%08d", random.IntN(1e8)), Value: string(value)})
	}
	return enveloped(m)
}

func BenchmarkEnvelope(b *testing.B) {
	for _, n := range []int{1, 64} {
		e := benchmarkReplicate(n)
		frame := AppendEnvelope(nil, e)
		b.Run(fmt.Sprintf("encode/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				frame = AppendEnvelope(frame[:0], e)
			}
		})
		b.Run(fmt.Sprintf("decode/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				if _, err := DecodeEnvelope(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("decodeInto/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			var into Envelope
			for b.Loop() {
				if err := DecodeEnvelopeInto(&into, frame, ""); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("hash/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			var scratch []byte
			for b.Loop() {
				_, scratch = HashEnvelope(scratch, e)
			}
		})
	}
}
