//go:build !unix

package transport

func filesMax() int { return 0 }

func outOfFiles(error) bool { return false }
