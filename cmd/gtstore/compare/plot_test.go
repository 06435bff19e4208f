package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const grown = `
| callers | puts/s | p50 µs | p99 µs | gets/s | p50 µs | p99 µs |
|---|---|---|---|---|---|---|
| 1 | 1000 | 100 | 1000 | 2000 | 50 | 90 |
| 4 | 10000 | 200 | 2000 | 8000 | 60 | 900 |

| keys | node, MiB | manager, MiB |
|---|---|---|
| 10000 | 51 | 21 |
`

func TestGrowthIsDrawn(t *testing.T) {
	all, err := readGrowth(strings.NewReader(grown))
	require.NoError(t, err)
	require.Len(t, all, 1, "the table of the memory is another one")
	require.Equal(t, []string{"1", "4"}, all[0].labels)
	require.Equal(t, []float64{90, 900}, all[0].series[5])
	var b bytes.Buffer
	require.NoError(t, plot(&b, all))
	// 1,000 to 10,000 puts a second: from the bottom of the left panel to its top.
	require.Contains(t, b.String(), `<polyline class="put" points="152.5,240.0 317.5,70.0 "/>`)
	for d := xml.NewDecoder(&b); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
}

func TestWhatCannotBeDrawn(t *testing.T) {
	_, err := readGrowth(strings.NewReader("nothing"))
	require.ErrorContains(t, err, "no table")
	_, err = readGrowth(strings.NewReader(strings.Replace(grown, "8000", "none", 1)))
	require.ErrorContains(t, err, `callers 4: "none"`)
}
