package transport

import (
	"encoding/binary"
	"errors"
	"fmt"

	"gtstore/core"
)

// Batch is what Deliver takes: envelopes, in order.
type Batch struct {
	duplex    *duplex // on which it came; set by the codec
	envelopes []core.Envelope
}

var errBatch = errors.New("transport: a malformed batch")

// append encodes the batch: a count, then each envelope's frame with its length
// before it.
func (b *Batch) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b.envelopes)))
	for i := range b.envelopes {
		// Lengths are coded in four bytes, so that they can be filled in.
		var start int
		dst, start = beginFrame(dst)
		dst = endFrame(core.AppendEnvelope(dst, &b.envelopes[i]), start)
	}
	return dst
}

// decode reads a whole batch. The envelopes do not refer to src. Addresses
// equal to those in like, an envelope that came before, are shared with it. A connection
// keeps like while it is idle, so no message stays in it: nobody would be charged for it.
func (b *Batch) decode(src []byte, like *core.Envelope) error {
	defer func() { like.Body = nil }()
	count, n := binary.Uvarint(src)
	if n <= 0 || count == 0 || count > batchCountMax {
		return fmt.Errorf("%w: its count", errBatch)
	}
	src = src[n:]
	b.envelopes = make([]core.Envelope, 0, count)
	bytes := 0
	for range count {
		if len(src) < frameHeadBytes {
			return fmt.Errorf("%w: it ends early", errBatch)
		}
		size := uint64(binary.LittleEndian.Uint32(src))
		src = src[frameHeadBytes:]
		if size > uint64(len(src)) {
			return fmt.Errorf("%w: it ends early", errBatch)
		}
		if err := core.DecodeEnvelopeInto(like, src[:size], ""); err != nil {
			return fmt.Errorf("%w: %w", errBatch, err)
		}
		b.envelopes = append(b.envelopes, *like)
		if bytes += sizeOf(like); bytes > decodedBytesMax {
			return fmt.Errorf("%w: it decodes to more than %d bytes", errBatch, decodedBytesMax)
		}
		src = src[size:]
	}
	if len(src) > 0 {
		return fmt.Errorf("%w: %d bytes after its end", errBatch, len(src))
	}
	return nil
}
