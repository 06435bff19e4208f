// Package coretest holds every disk to the same contract: the simulator's, and the one of
// real hosts. Only tests import it.
package coretest
