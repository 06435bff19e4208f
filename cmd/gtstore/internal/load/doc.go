// Package load puts a store under load and measures how long its operations take.
//
// There are two ways. In a closed loop each client begins an operation as soon as its last
// one has ended: that shows what the store can do. In an open loop operations are due at a
// fixed rate, whatever the store does, and the latency counts from the moment at which an
// operation was due. So a store that stalls for a second delays all operations of that
// second, as it would delay its users. A loop that measures from the moment of sending
// would see one slow operation for each client, and nothing of those that were held back
// (the mistake known as coordinated omission).
//
// The store is whatever implements Store, so that different ones are measured alike.
package load
