package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCode(t *testing.T) {
	cause := errors.New("cause")
	for _, c := range []struct {
		name string
		err  error
		code int
	}{
		{"no error", nil, ExitOK},
		{"from the parser of the command line", cause, ExitUsage},
		{"from a command", Failed(cause), ExitError},
		{"nothing failed", Failed(nil), ExitOK},
		{"a code is kept", Failed(Errorf(ExitViolated, "x: %w", cause)), ExitViolated},
		{"a code is found below", fmt.Errorf("y: %w", Errorf(ExitUsage, "x")), ExitUsage},
	} {
		require.Equal(t, c.code, Code(c.err), c.name)
	}
	require.ErrorIs(t, Failed(cause), cause)
	require.EqualError(t, Errorf(ExitError, "a %d", 1), "a 1")
}

func TestIsTerminal(t *testing.T) {
	require.False(t, IsTerminal(&bytes.Buffer{}))
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer null.Close()
	require.False(t, IsTerminal(null), "nobody watches the null device")
	file, err := os.Create(t.TempDir() + "/f")
	require.NoError(t, err)
	defer file.Close()
	require.False(t, IsTerminal(file))
}

func TestGrouped(t *testing.T) {
	for n, text := range map[int]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 1234567: "1,234,567", -999: "-999", -1000: "-1,000", -123456: "-123,456",
	} {
		require.Equal(t, text, Grouped(n))
	}
}

// Where managers are named each may have its name; all other addresses have none.
func TestOnlyTheAddressesOfManagersHaveNames(t *testing.T) {
	var managers Managers
	require.NoError(t, managers.Set("m1@a:1, b:2"))
	require.Equal(t, Managers{"m1@a:1", "b:2"}, managers)
	require.Equal(t, "m1@a:1,b:2", managers.String())
	require.ErrorContains(t, managers.Set("m1@a:1,m 2@b:2"), "NAME@HOST:PORT")
	one := Address{Several: "--managers", Manager: true}
	require.NoError(t, one.Set("m1@a:1"))
	require.ErrorContains(t, one.Set("m1@a:1,m2@b:2"), "want one [NAME@]HOST:PORT; several are named with --managers")
	var plain Addresses
	require.ErrorContains(t, plain.Set("m1@a:1"), "without a name")
	require.ErrorContains(t, new(Address).Set("m1@a:1"), "without a name")
	require.ErrorContains(t, (&Address{Listen: true}).Set("m1@a:1"), "without a name")
}
