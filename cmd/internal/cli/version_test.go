package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/core/wire"
)

func TestVersionTellsTheBuild(t *testing.T) {
	built := fmt.Sprintf("\nbuilt     %s, %s/%s\nversions  messages %d, records %d, backups %d",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, wire.MessageVersion, wire.RecordVersion, wire.BackupVersion)
	info := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "a3c1533"}, {Key: "vcs.time", Value: "2026-11-26T10:00:00Z"}, {Key: "vcs.modified", Value: "false"},
	}}
	require.Equal(t, "v1.2.3\nrevision  a3c1533 2026-11-26T10:00:00Z"+built, versionText(info))
	info.Settings[2].Value = "true"
	require.Equal(t, "v1.2.3\nrevision  a3c1533 2026-11-26T10:00:00Z, with changes"+built, versionText(info))
	require.Equal(t, "(devel)\nrevision  unknown: built without a version control system"+built, versionText(&debug.BuildInfo{}))
	require.Equal(t, "(devel)\nrevision  unknown: built without a version control system"+built, versionText(nil))

	var out bytes.Buffer
	root := program(&settings{})
	AddVersion(root)
	require.Zero(t, Execute(context.Background(), root, []string{"--version"}, nil, &out, os.Stderr))
	require.Contains(t, out.String(), "program ")
	require.Contains(t, out.String(), built+"\n")
}

// Each command has a page, of what its help says, and it is one that man can show.
func TestManualPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man")
	root := program(&settings{})
	root.AddCommand(NewMan())
	require.Zero(t, Execute(context.Background(), root, []string{"man", dir}, nil, nil, os.Stderr))
	for name, want := range map[string]string{
		"program": "program-one(1)", "program-one": `\fB--some-time\fP=1s`, "program-two": `\fB--of-two\fP`, "program-man": "Writes a manual page",
	} {
		page, err := os.ReadFile(filepath.Join(dir, name+".1"))
		require.NoError(t, err)
		require.Contains(t, string(page), ".SH NAME")
		require.Contains(t, string(page), want)
		if groff, err := exec.LookPath("groff"); err == nil {
			warnings, err := exec.Command(groff, "-ww", "-z", "-Kutf8", "-t", "-man", "-Tutf8", filepath.Join(dir, name+".1")).CombinedOutput()
			require.NoError(t, err)
			require.Empty(t, string(warnings))
		}
	}
	again := filepath.Join(dir, "again")
	require.Zero(t, Execute(context.Background(), root, []string{"man", again}, nil, nil, os.Stderr))
	first, err := os.ReadFile(filepath.Join(dir, "program-one.1"))
	require.NoError(t, err)
	second, err := os.ReadFile(filepath.Join(again, "program-one.1"))
	require.NoError(t, err)
	require.Equal(t, string(first), string(second))
	require.Equal(t, ExitError, Execute(context.Background(), root, []string{"man", filepath.Join(dir, "program.1")}, nil, nil, &bytes.Buffer{}))
}
