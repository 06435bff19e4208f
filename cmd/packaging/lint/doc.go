// Package lint holds tests only: they check the packaged files by the types and parsers of the
// programs that read them. It is a module of its own, so that nobody who uses or tests GTStore
// needs those. It takes Go and the module proxy:
//
//	cd cmd/packaging/lint && go test ./...
package lint
