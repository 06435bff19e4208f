// Package splitmix makes numbers out of numbers, with the finalizer of SplitMix64.
// All randomness inside a run comes from it, by position rather than from a stream:
// what happens to one message is a hash of the seed and of what names the message,
// and does not depend on how many were sent elsewhere. It knows nothing else.
package splitmix
