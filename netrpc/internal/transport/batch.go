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
// before it. Large values are left aside.
func (b *Batch) append(dst *buffer) {
	dst.b = binary.AppendUvarint(dst.b, uint64(len(b.envelopes)))
	for i := range b.envelopes {
		// Lengths are coded in four bytes, so that they can be filled in.
		m := dst.begin()
		dst.b = core.AppendEnvelopeAside(dst.b, &b.envelopes[i], dst)
		dst.end(m)
	}
}

// decode reads a whole batch. The envelopes do not refer to src, but to a shared one, which
// nobody will change any more: then a value that is most of it is a part of it. Addresses
// equal to those in like, an envelope that came before, are shared with it. A connection
// keeps like while it is idle, so no message stays in it: nobody would be charged for it.
func (b *Batch) decode(src []byte, shared bool, like *core.Envelope) error {
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
		if b.duplex != nil {
			if err := b.duplex.maySend(src[:size]); err != nil {
				return err
			}
		}
		text := ""
		if shared && count == 1 {
			text = textOf(src[:size])
		}
		if err := core.DecodeEnvelopeInto(like, src[:size], text); err != nil {
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
