package netrpc

import (
	"strings"
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

// A name is a manager's, and of use only where it can be checked. Nothing else that cannot be an
// address is one.
func TestTheAddressOfAManagerMayHaveAName(t *testing.T) {
	for _, text := range []string{"10.0.0.1:7400", "m1@10.0.0.1:7400", "a.b-c_D@[::1]:7400", "m1@db1:1"} {
		require.NoError(t, CheckManagerAddress(text), text)
	}
	for text, why := range map[string]string{
		"@10.0.0.1:7400": "NAME@HOST:PORT", "a b@h:1": "NAME@HOST:PORT", "a@b@h:1": "without a name", "m1@h": "want HOST:PORT", "m1@:7400": "a host", "m1@h:0": "a port",
		"node/m1@h:1": "NAME@HOST:PORT", "m1@https://h:1": "without", strings.Repeat("a", 65) + "@h:1": "NAME@HOST:PORT", "m1@" + strings.Repeat("h", 250) + ":1": "at most",
	} {
		require.ErrorContains(t, CheckManagerAddress(text), why, text)
	}
	require.ErrorContains(t, CheckAddress("m1@10.0.0.1:7400"), "without a name")

	list, err := ManagerAddresses([]string{"m1@h:1", "h:2"}, true)
	require.NoError(t, err)
	require.Equal(t, []string{"manager/m1@h:1", "h:2"}, list)
	require.Equal(t, []string{"m1@h:1", "h:2"}, []string{ShownAddress(list[0]), ShownAddress(list[1])})
	_, err = ManagerAddresses([]string{"h:2", "m1@h:1"}, false)
	require.ErrorContains(t, err, `"m1@h:1" has a name, which nobody can check without certificates`)
	for _, wrong := range [][]string{{"m1@h:1", "h:3", "m1@h:2"}, {"m1@h:1", "m2@h:1"}} {
		_, err = ManagerAddresses(wrong, true)
		require.ErrorContains(t, err, "m1@h:1 and "+wrong[len(wrong)-1]+" one is wrong")
	}
	_, err = ManagerAddresses([]string{"h"}, true)
	require.ErrorContains(t, err, `the manager's address "h": want HOST:PORT`)
}

func TestANodeIsCalledByTheNameInItsAddress(t *testing.T) {
	name, address := SplitAddress("node1@10.0.0.1:7401")
	require.Equal(t, []string{"node1", "10.0.0.1:7401"}, []string{name, address})
	require.Equal(t, "node1", AddressName("node1@10.0.0.1:7401"))
	require.Equal(t, "10.0.0.1:7401", AddressName("10.0.0.1:7401"))
	require.Equal(t, "m1", AddressName("manager/m1@10.0.0.1:7400"))
}
