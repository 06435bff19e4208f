// Package history judges what the users of a store saw: whether some order of their
// operations explains all the results (linearizability), one key at a time. It knows
// nothing of where a history comes from: the simulator's and those of real hosts are
// judged alike.
//
// The sweep judges, in about linear time; what it objects to is put before Porcupine,
// which searches all orders.
package history
