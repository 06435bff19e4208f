// Package explore searches all that a model can do, completely: every state that can be
// reached, level by level. It knows no GTStore; package cluster has the model of one.
//
// A state is bytes. Of those that were seen only a print of 64 bits is kept, with the print
// of the state before it: that takes some 30 bytes a state, and it is enough to find the way
// again. Two states with one print would be taken for one: Result.Miss bounds the chance of
// that. The states of the level under way are held as a whole.
//
// Workers take chunks of a level in any order. What is found does not depend on it: the
// levels are sets, the predecessor that is kept is the one with the least print, and of the
// violations of a level the first in a fixed order is reported.
//
// A model may leave out what it guesses to make no difference. It is a Prover then, and is
// searched in passes until nothing that it left out makes one.
//
// The bound on memory is kept. A search that reaches it says so, and never that it is
// complete.
package explore
