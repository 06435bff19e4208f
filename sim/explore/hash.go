package explore

import "gtstore/core/wire"

// Print is a print for states that are the same bytes in every process.
func Print(state []byte) uint64 { return wire.Hash(state) }
