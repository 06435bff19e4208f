package disk

import "github.com/cockroachdb/pebble/v2/vfs"

func isFull(error) bool     { return false }
func isReadOnly(error) bool { return false }

func placeOf(vfs.FS, string) string { return "" }
