package view

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/sim/schedule"
)

func parse(t *testing.T, text string) *schedule.Schedule {
	t.Helper()
	s, err := schedule.Parse(text)
	require.NoError(t, err)
	return s
}

// saved returns a trace of the project.
func saved(t *testing.T, name string) *schedule.Schedule {
	t.Helper()
	text, err := os.ReadFile("../../traces/" + name)
	require.NoError(t, err)
	return parse(t, string(text))
}

// long is a schedule of n operations by four clients, with a partition on the way.
func long(t *testing.T, n int) *schedule.Schedule {
	t.Helper()
	var b strings.Builder
	b.WriteString("cluster nodes=3 replicas=2 clients=4\nclients timeout=5s\n")
	for i := range n {
		at := time.Duration(100+2*i) * time.Millisecond
		if i%2 == 0 {
			fmt.Fprintf(&b, "at %v c%d put k%d v%d\n", at, i%4+1, i%5, i)
		} else {
			fmt.Fprintf(&b, "at %v c%d get k%d\n", at, i%4+1, i%5)
		}
		if i == n/2 {
			fmt.Fprintf(&b, "at %v partition n1 | m n2 n3\n", at)
		}
	}
	return parse(t, b.String())
}

func html(t *testing.T, p *Page) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, WriteHTML(&b, p))
	return b.String()
}

// hostile is a schedule whose story, keys and values try to be markup and script.
const hostile = `# </script><script>window.pwned = 1</script>
# <img src=x onerror="window.pwned = 2">
rule <b>R1</b>
at 100ms c1 put "</script><script>window.pwned=3</script>" "<img src=x onerror=window.pwned=4>"
at 200ms c2 get "</script><script>window.pwned=3</script>"
at 300ms c1 put "\u2028;alert(1)//${window.pwned=5}" "{{.Page}}"
`
