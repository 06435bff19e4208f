// Package bounds says within which limits of the network and the machines a healthy
// node is never removed from its chain, and no group presumed lost. Its Ledger remembers
// until when each host and link of a run was beyond these limits.
package bounds
