//go:build !unix

package fuzz

// lockFile does nothing: this system has no lock that ends with its process.
func lockFile(string) (unlock func(), err error) { return func() {}, nil }

func lockToRead(string) (unlock func(), err error) { return func() {}, nil }
