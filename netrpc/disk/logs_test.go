package disk_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc/disk"
)

// Every batch was told to be durable before the next was written. So a bit that flips in any
// but the last ones is noticed, by who looks and by the node that starts: the engine would
// take it for a torn end, and drop what comes after it. How far the log was synced is told
// in the batch after the next at the latest.
func TestABitThatFlipsInALogIsNoticed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "node")
	d, err := disk.Open(dir, disk.Storage, disk.Options{})
	require.NoError(t, err)
	write(t, d)
	require.NoError(t, d.Close())
	d, err = disk.Open(dir, disk.Storage, disk.Options{}) // the first log of an engine does not say how far it was synced
	require.NoError(t, err)
	var batches [][]core.Write
	for i := range 20 {
		batches = append(batches, []core.Write{{Key: fmt.Sprintf("probe%02d", i), Value: string(make([]byte, 100))}})
	}
	write(t, d, batches...)
	kill(t, d, dir)
	log := file(t, dir, "*.log")
	whole, err := os.ReadFile(log)
	require.NoError(t, err)
	for at := 0; at < len(whole)*16/20; at += 7 { // each byte of a header in turn, as a chunk has 141
		flipped := append([]byte(nil), whole...)
		flipped[at] ^= 1 << (at % 8)
		require.NoError(t, os.WriteFile(log, flipped, 0o600))
		_, err = disk.Open(dir, disk.Storage, disk.Options{})
		require.ErrorIs(t, err, core.ErrDamaged, "bit flipped at byte %d of %d", at, len(whole))
		if at%5 != 0 {
			continue
		}
		r, err := disk.Inspect(t.Context(), dir, false, disk.Options{})
		require.NoError(t, err)
		require.Len(t, r.Damage, 1, "bit flipped at byte %d of %d", at, len(whole))
		require.Equal(t, "data/"+filepath.Base(log), r.Damage[0].File)
	}
	require.NoError(t, os.WriteFile(log, whole, 0o600))
	require.Empty(t, inspect(t, dir, true).Damage)
}

// What a power cut leaves at the end of a log is no damage: a part of the last batch, and
// what the file had before.
func TestATornEndOfALogIsNoDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "node")
	d, err := disk.Open(dir, disk.Storage, disk.Options{})
	require.NoError(t, err)
	all := records(t, 20)
	write(t, d, all[:len(all)-1], all[len(all)-1:])
	kill(t, d, dir)
	log := file(t, dir, "*.log")
	whole, err := os.ReadFile(log)
	require.NoError(t, err)
	for _, lost := range []int{1, 11, 12, 50, 500, 1000} {
		for _, behind := range []string{"", "\x00\x00\x00", string(make([]byte, 5000)), "what was there before, of another log, as the engine uses its files again"} {
			require.NoError(t, os.WriteFile(log, append(append([]byte(nil), whole[:len(whole)-lost]...), behind...), 0o600))
			require.False(t, inspect(t, dir, false).Damaged(), "%d bytes lost, %q behind", lost, behind)
		}
	}
}
