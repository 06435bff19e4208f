package wire_test

import (
	"hash/crc32"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/core/wire"
)

// spliced is what an encoder left aside, put back.
type spliced struct {
	texts []string
	at    []int
}

func (s *spliced) LeaveAside(at int, text string, sum uint32) uint32 {
	s.at, s.texts = append(s.at, at), append(s.texts, text)
	return crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), []byte(text))
}

func (s *spliced) join(b []byte) string {
	var all strings.Builder
	from := 0
	for i, at := range s.at {
		all.Write(b[from:at])
		all.WriteString(s.texts[i])
		from = at
	}
	all.Write(b[from:])
	return all.String()
}

func codeTexts(c *wire.Coder, texts []string) {
	for i := range texts {
		wire.String(c, &texts[i], 1<<20)
	}
}

func TestAFrameIsTheSameWhetherStringsAreLeftAside(t *testing.T) {
	large, larger := strings.Repeat("l", wire.AsideBytesMin), strings.Repeat("m", wire.AsideBytesMin+1)
	for _, c := range []struct {
		name  string
		texts []string
		aside int
	}{
		{"nothing", nil, 0},
		{"one that is too small", []string{large[1:]}, 0},
		{"one", []string{large}, 1},
		{"one among small ones", []string{"a", large, "b"}, 1},
		{"two behind each other", []string{large, larger}, 2},
		{"several", []string{larger, "a", large, large[1:], larger, ""}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			whole := wire.NewFrame([]byte("before"))
			codeTexts(&whole, c.texts)
			var s spliced
			apart := wire.NewFrameAside([]byte("before"), &s)
			codeTexts(&apart, c.texts)
			b := apart.Seal()
			require.Len(t, s.texts, c.aside)
			require.True(t, string(whole.Seal()) == s.join(b))
		})
	}
}

// The text tells where a string came from: it differs from the frame.
func TestOnlyAStringThatIsMostOfAFrameIsPartOfItsText(t *testing.T) {
	for _, c := range []struct {
		name   string
		texts  []string
		shared []bool
	}{
		{"all of it", []string{strings.Repeat("l", 1000)}, []bool{true}},
		{"most of it", []string{"a", strings.Repeat("l", 1000), "b"}, []bool{false, true, false}},
		{"half of it", []string{strings.Repeat("l", 1000), strings.Repeat("l", 1000)}, []bool{false, false}},
		{"seven eighths", []string{strings.Repeat("l", 700), strings.Repeat("l", 100)}, []bool{false, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			enc := wire.NewFrame(nil)
			codeTexts(&enc, c.texts)
			b := enc.Seal()
			got := make([]string, len(c.texts))
			dec := wire.OpenFrameShared(b, strings.ReplaceAll(string(b), "l", "L"))
			codeTexts(&dec, got)
			require.NoError(t, dec.End())
			for i, text := range c.texts {
				if c.shared[i] {
					text = strings.ReplaceAll(text, "l", "L")
				}
				require.True(t, text == got[i], "string %d", i)
			}
		})
	}
}

func TestADamagedFrameIsRefusedWhoeverSharesIt(t *testing.T) {
	enc := wire.NewFrame(nil)
	codeTexts(&enc, []string{strings.Repeat("l", 1000)})
	b := enc.Seal()
	b[500] ^= 1
	dec := wire.OpenFrameShared(b, string(b))
	got := []string{""}
	codeTexts(&dec, got)
	require.ErrorIs(t, dec.End(), wire.ErrChecksum)
	require.Equal(t, []string{""}, got)
}
