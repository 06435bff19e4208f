package transport

import (
	"encoding/binary"
	"errors"
	"fmt"

	"gtstore/core"
)

// Batch is what Deliver takes and Collect returns: envelopes, in order.
type Batch struct {
	conn      *conn // who called; set by the server's codec
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
// equal to those in like, an envelope that came before, are shared with it.
func (b *Batch) decode(src []byte, like *core.Envelope) error {
	count, n := binary.Uvarint(src)
	if n <= 0 || count > batchCountMax {
		return fmt.Errorf("%w: its count", errBatch)
	}
	src = src[n:]
	b.envelopes = make([]core.Envelope, 0, count)
	for range count {
		if len(src) < frameHeadBytes {
			return fmt.Errorf("%w: it ends early", errBatch)
		}
		size := uint64(binary.LittleEndian.Uint32(src))
		src = src[frameHeadBytes:]
		if size > uint64(len(src)) {
			return fmt.Errorf("%w: it ends early", errBatch)
		}
		if err := core.DecodeEnvelopeInto(like, src[:size]); err != nil {
			return fmt.Errorf("%w: %w", errBatch, err)
		}
		b.envelopes = append(b.envelopes, *like)
		src = src[size:]
	}
	if len(src) > 0 {
		return fmt.Errorf("%w: %d bytes after its end", errBatch, len(src))
	}
	return nil
}

// sizeOf tells about how many bytes of memory an envelope holds.
func sizeOf(e *core.Envelope) int {
	const fixed = 256
	switch m := e.Body.(type) {
	case *core.Replicate:
		n := fixed
		for i := range m.Entries {
			n += 128 + len(m.Entries[i].Key) + len(m.Entries[i].Value)
		}
		return n
	case *core.Chunk:
		n := fixed + 64*len(m.Sessions)
		for i := range m.Items {
			n += 64 + len(m.Items[i].Key) + len(m.Items[i].Value)
		}
		return n
	case *core.Op:
		return fixed + len(m.Key) + len(m.Value)
	case *core.Reply:
		return fixed + len(m.Value)
	case *core.Call:
		return fixed + len(m.Key) + len(m.Value)
	case *core.StatusReply:
		return fixed + 128*(len(m.Nodes)+len(m.Groups))
	case *core.Lookup:
		return fixed + len(m.Key)
	}
	return fixed
}
