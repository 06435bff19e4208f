// Package network decides what becomes of each message: whether it is lost, held back or
// repeated, when it arrives, and in which order. It moves no messages, and knows neither
// a queue nor a host's process. Its methods return decisions, which the caller carries
// out, and the caller tells it what it must know of the hosts. So something else could
// make the network's choices in its place.
//
// A message's fate is settled when it is sent: what is on its way when a
// partition begins still arrives, as it may from a buffer somewhere in a real
// network. It is addressed to a host by name, not to a NodeID, so it reaches
// whichever process has that address when it arrives.
package network
