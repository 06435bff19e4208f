// Package wire holds the primitives of the codec that the network, the disk
// and the simulator share: bounded, checksummed, versioned, without reflection.
//
// # One field list for both directions
//
// A [Coder] either appends to a byte slice or reads from one. A type is coded
// by one function that names its fields in order, so that the two directions
// cannot disagree:
//
//	func code(c *wire.Coder, m *Ack) {
//		wire.Uint(c, &m.Round)
//		wire.String(c, &m.Addr, AddrBytesMax)
//		for i := range wire.Slice(c, &m.Seqs, SeqsMax, 1) {
//			wire.Uint(c, &m.Seqs[i])
//		}
//	}
//
// Slices and optional values are loops and ifs of the caller rather than
// callbacks: a Coder that is handed to a function value would escape to the
// heap, one allocation for every message.
//
// # Format
//
//	Uint       unsigned varint (LEB128), in its shortest form
//	Int        zig-zag, then as Uint
//	Fixed64    8 bytes, little endian: for random identities
//	Bool       one byte, 0 or 1
//	Enum, Tag  one byte
//	String     length as Uint, then the bytes
//	Slice      count as Uint, then the elements
//	Optional   Bool, then the value if there is one
//
// Every value has exactly one encoding, and a decoder refuses all others. So
// whatever decodes also encodes to the same bytes, and a hash of the encoding
// is a hash of the value. A nil and an empty slice are the same value; decoding
// gives nil.
//
// # Frames
//
// A frame is what is stored or sent as a unit:
//
//	version   1 byte, see [MessageVersion], [RecordVersion] and [BackupVersion]
//	payload   any number of bytes
//	checksum  4 bytes, little endian: CRC-32C (Castagnoli) of version and payload
//
// A frame does not carry its own length; who stores or sends it knows that. The
// checksum detects every single flipped bit and every burst of up to 32 bits,
// and, with a chance of 1 in 2^32 of missing one, any truncation. It guards
// against accidents, not against an attacker. All versions share the place of
// the version byte and of the checksum, so that [ErrVersion] always means an
// intact frame of another version, and never a damaged one.
//
// # Bounds
//
// Encoding allocates nothing but the growth of the destination. Decoding
// allocates only what it returns, and only after checking a length against both
// its limit and the bytes that are left; so a frame of n bytes costs at most a
// small multiple of n, whatever lengths it claims. Strings are copied out of
// the input once, and nothing decoded refers to the input.
//
// Large strings need not be copied. [NewFrameAside] leaves them out of the encoded
// bytes, for a writer that puts them back. [OpenFrameShared] has the one string that
// is most of a frame share its memory, when the reader gives that up.
//
// # Errors
//
// The first error sticks. A decoder then leaves every later value as it is and
// gives no elements to loop over. An encoder goes on appending, so that values
// outside the limits can be hashed too; it is for the caller to ask [Coder.Err]
// before using what was encoded. Every error is an [*Error] that says what was
// wrong, where, and which limit it broke, and matches with errors.Is one of
// [ErrTruncated], [ErrMalformed], [ErrLimit], [ErrChecksum] and [ErrVersion].
package wire
