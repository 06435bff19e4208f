package netrpc

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTextFromElsewhereForgesNothing(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "",
		"node1":                  "node1",
		`a "node" of \ mine`:     `a "node" of \ mine`,
		"Straße 東京 é":            "Straße 東京 é",
		"a\nnode2  up":           `a\nnode2  up`,
		"a\tb":                   `a\tb`,
		"\x1b[2J\x1b[H":          `\x1b[2J\x1b[H`,
		"a\rb":                   `a\rb`,
		"right\u202eto left":     `right\u202eto left`,
		"\xff\"":                 `\xff\"`,
		"no-break\u00a0space":    "no-break\u00a0space",
		"next\u0085line\u2028up": `next\u0085line\u2028up`,
	} {
		require.Equal(t, want, Printable(text))
	}
}

func TestANodeIsCalledByTheNameInItsAddress(t *testing.T) {
	name, address := SplitAddress("node1@10.0.0.1:7401")
	require.Equal(t, []string{"node1", "10.0.0.1:7401"}, []string{name, address})
	require.Equal(t, "node1", AddressName("node1@10.0.0.1:7401"))
	require.Equal(t, "10.0.0.1:7401", AddressName("10.0.0.1:7401"))
}
