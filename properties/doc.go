// Package properties has the tests of what must be true of the whole project.
//
//	go test ./properties
//
// The tests of behaviour replay every schedule in traces/. They also draw schedules of
// faults and calls, let the simulator run them, and judge what came of it. Together these
// must reach every mark of package sim/mark, so that no race goes untried.
//
// The tests of architecture read the source: imports point one way, the core stays pure,
// every package says what it is for, and the links of the pages lead somewhere.
//
// Nothing imports this package. Only tests import rapid, here and in core: it registers
// flags of its own and has no place in a binary.
package properties
