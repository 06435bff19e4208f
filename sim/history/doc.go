// Package history judges whether what the users of a store saw is linearizable: whether
// some order of their operations explains all the results. It judges one key at a time.
// It does not know whether a history comes from the simulator or from real hosts.
//
// The sweep judges in about linear time. Where it finds no order, Porcupine, which
// searches all orders, must not find one either.
package history
