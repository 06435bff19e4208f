package core

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Redis says so: CLUSTER KEYSLOT, and the examples of its specification.
func TestASlotIsThatOfRedisCluster(t *testing.T) {
	require.EqualValues(t, 0x31c3, crc16("123456789"), "the check value of CRC-16/XMODEM")
	const slots = Placement(16384)
	for key, want := range map[string]Unit{
		"123456789": "12739", "foo": "12182", "bar": "5061", "somekey": "11058",
		"foo{hash_tag}": "2515", "bar{hash_tag}": "2515",
		"{user1000}.following": slots.Unit("user1000"), "{user1000}.followers": slots.Unit("user1000"),
		"foo{{bar}}zap": slots.Unit("{bar"), "foo{bar}{zap}": slots.Unit("bar"), "a}b{c}": slots.Unit("c"),
	} {
		require.Equal(t, want, slots.Unit(key), key)
	}
	for _, whole := range []string{"foo{}{bar}", "{}x", "{x", "x}", "}{", "{", "\x00\xff"} {
		require.EqualValues(t, fmt.Sprint(crc16(whole)%16384), slots.Unit(whole), "%q has no tag", whole)
	}
	require.EqualValues(t, "foo{hash_tag}", PlacementKey.Unit("foo{hash_tag}"), "a key is its own unit")
}

// Every slot has keys, and none has much more than its part.
func TestKeysSpreadOverTheSlots(t *testing.T) {
	for _, p := range []Placement{SlotsMin, 64, 16384, SlotsMax} {
		in := map[Unit]int{}
		for i := range 16 * int(p) {
			u := p.Unit(fmt.Sprint("key", i))
			require.True(t, p.has(u), "%v has %q", p, u)
			in[u]++
		}
		most := 0
		for _, n := range in {
			most = max(most, n)
		}
		require.Len(t, in, p.Slots())
		require.LessOrEqual(t, most, 4*16, p)
	}
}

func TestAPlacementHasItsUnitsAndNoOthers(t *testing.T) {
	for _, u := range []Unit{"0", "9", "10", "15"} {
		require.True(t, Placement(16).has(u), u)
	}
	for _, u := range []Unit{"", "16", "01", "+1", "-1", "1 ", "x", "65536", "99999999999999999999"} {
		require.False(t, Placement(16).has(u), u)
	}
	require.True(t, Placement(SlotsMax).has("65535"))
	require.False(t, Placement(SlotsMax).has("65536"))
	require.True(t, PlacementKey.has("16"))
	require.False(t, PlacementKey.has(""))
	require.False(t, PlacementKey.has(Unit(make([]byte, KeyBytesMax+1))))
}

func TestAPlacementIsReadAsItIsWritten(t *testing.T) {
	for text, want := range map[string]Placement{"key": PlacementKey, "slots=2": 2, "slots=16384": 16384, "slots=65536": SlotsMax} {
		p, err := ParsePlacement(text)
		require.NoError(t, err)
		require.Equal(t, want, p)
		require.Equal(t, text, p.String())
		require.NoError(t, ManagerOptions{Placement: p}.Validate())
	}
	for _, text := range []string{"", "none", "keys", "16384", "slots", "slots=", "slots=0", "slots=1", "slots=3", "slots=10000", "slots=131072", "slots=4294967298", "slots=+2", "slots=02", "slots=0x10"} {
		_, err := ParsePlacement(text)
		require.EqualError(t, err, fmt.Sprintf("core: placement %q, want key, or slots=N with a power of two from 2 to 65536, such as slots=16384", text))
	}
	require.EqualError(t, ManagerOptions{Placement: 100}.Validate(), "core: 100 slots, want a power of two from 2 to 65536")
	require.NoError(t, ManagerOptions{}.Validate(), "it may be left to what the Directory says")
}
