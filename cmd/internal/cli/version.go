package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"gtstore/core/wire"
)

// AddVersion gives a program the flag --version, which says what it was built from, and what it
// speaks: programs of one cluster must have the same version of messages, and a directory and the
// program that reads it the same of records.
func AddVersion(root *cobra.Command) {
	info, _ := debug.ReadBuildInfo()
	root.Version = versionText(info)
	root.SetVersionTemplate("{{.DisplayName}} {{.Version}}\n")
}

// versionText is what --version says after the program's name. The build information is nil where
// there is none.
func versionText(info *debug.BuildInfo) string {
	version, revision, modified := "(devel)", "unknown: built without a version control system", ""
	if info != nil {
		if info.Main.Version != "" {
			version = info.Main.Version
		}
		values := make(map[string]string)
		for _, s := range info.Settings {
			values[s.Key] = s.Value
		}
		if r := values["vcs.revision"]; r != "" {
			revision = strings.TrimSpace(r + " " + values["vcs.time"])
		}
		if values["vcs.modified"] == "true" {
			modified = ", with changes"
		}
	}
	return fmt.Sprintf("%s\nrevision  %s%s\nbuilt     %s, %s/%s\nversions  messages %d, records %d, backups %d",
		version, revision, modified, runtime.Version(), runtime.GOOS, runtime.GOARCH, wire.MessageVersion, wire.RecordVersion, wire.BackupVersion)
}
