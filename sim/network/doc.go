// Package network decides what becomes of each message: whether it is lost, held
// back, repeated, and when it arrives in which order. It moves no messages and
// knows neither a queue nor a host's process: its methods return decisions, which
// whoever asks carries out, and it is told what it must know of the hosts. So the
// choices of a network can be made by somebody else.
//
// A message's fate is settled when it is sent: what is on its way when a
// partition begins still arrives, as it may from a buffer somewhere in a real
// network. It is addressed to a host by name, not to a NodeID, so it reaches
// whichever process has that address when it arrives.
package network
