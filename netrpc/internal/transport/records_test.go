package transport

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc/internal/identity"
	"gtstore/netrpc/internal/identity/identitytest"
)

// Types of TLS 1.3's records.
const (
	recordHandshake = 22
	recordData      = 23
)

// rawRecords writes records as no library does, under the keys of a client's connection.
type rawRecords struct {
	*testing.T
	conn   net.Conn
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

// rawTo connects with a certificate's files, up to the preface.
func rawTo(t *testing.T, address string, f identity.Files) *rawRecords {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	require.NoError(t, err)
	r := &rawRecords{T: t, conn: dialRaw(t, address, false)}
	var keys bytes.Buffer
	c := tls.Client(r.conn, &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{"gtstore"}, Certificates: []tls.Certificate{pair}, KeyLogWriter: &keys,
	})
	require.NoError(t, c.Handshake())
	_, err = io.ReadFull(c, make([]byte, len(preface))) // and all that comes before it
	require.NoError(t, err)
	require.Equal(t, tls.TLS_AES_128_GCM_SHA256, c.ConnectionState().CipherSuite, "the keys are of this one")
	for line := range strings.Lines(keys.String()) {
		if w := strings.Fields(line); w[0] == "CLIENT_TRAFFIC_SECRET_0" {
			r.secret, err = hex.DecodeString(w[2])
			require.NoError(t, err)
		}
	}
	r.newKey()
	_, err = r.conn.Write(r.append(nil, recordData, []byte(preface)))
	require.NoError(t, err)
	return r
}

func (r *rawRecords) derive(label string, n int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(len("tls13 ")+len(label)))
	info = append(info, "tls13 "+label+"\x00"...)
	out, err := hkdf.Expand(sha256.New, r.secret, string(info), n)
	require.NoError(r, err)
	return out
}

func (r *rawRecords) newKey() {
	block, err := aes.NewCipher(r.derive("key", 16))
	require.NoError(r, err)
	r.aead, err = cipher.NewGCM(block)
	require.NoError(r, err)
	r.iv, r.seq = r.derive("iv", 12), 0
}

// append adds a record.
func (r *rawRecords) append(dst []byte, kind byte, text []byte) []byte {
	nonce := bytes.Clone(r.iv)
	seq := binary.BigEndian.AppendUint64(nil, r.seq)
	for i := range seq {
		nonce[len(nonce)-len(seq)+i] ^= seq[i]
	}
	r.seq++
	inner := append(bytes.Clone(text), kind)
	head := binary.BigEndian.AppendUint16([]byte{recordData, 3, 3}, uint16(len(inner)+r.aead.Overhead()))
	return r.aead.Seal(append(dst, head...), nonce, inner, head)
}

// keyUpdate adds a record that says that the next ones are under another key, and asks the other
// end to do so too.
func (r *rawRecords) keyUpdate(dst []byte) []byte {
	dst = r.append(dst, recordHandshake, []byte{24, 0, 0, 1, 1})
	r.secret = r.derive("traffic upd", len(r.secret))
	r.newKey()
	return dst
}

// A peer that asks for new keys again and again would have TLS write answers that nobody is
// charged for, and that are held until something else is said.
func TestWhoAsksForNewKeysLosesItsConnection(t *testing.T) {
	g := gate{T: t, ca: identitytest.New(t)}
	e := g.node(listen(t, "127.0.0.1:0"), func(o *Options) { o.FrameTimeout = 10 * patience })
	r := rawTo(t, e.addr, g.ca.Issue("gtstore://test/client/n5"))
	_, err := r.conn.Write(r.append(nil, recordData, request(methodHello, 1, nil)))
	require.NoError(t, err)
	_, err = io.ReadFull(r.conn, make([]byte, recordHeadBytes))
	require.NoError(t, err, "it is answered")
	_, err = r.conn.Write(r.append(r.keyUpdate(nil), recordData, request(methodHello, 2, nil)[:1]))
	require.NoError(t, err)
	closed(t, r.conn)
}

// Records with nothing in them are paid for like messages, though no frame is ever complete.
func TestRecordsArePaidFor(t *testing.T) {
	g := gate{T: t, ca: identitytest.New(t)}
	e := g.node(listen(t, "127.0.0.1:0"))
	c := g.dialAs(g.source("client/n5"), e.addr, identity.Wanted{Role: core.RoleNode, Name: "n1"})
	_, err := c.Write([]byte{0, 0, 16, 0}) // a frame of a MiB
	require.NoError(t, err)
	for range 3 * recordsMax {
		_, err := c.Write([]byte{1})
		require.NoError(t, err)
	}
	e.eventually(func() bool { return len(e.server.all()) == 1 && e.server.all()[0].duplex.Load() != nil }, "it is there")
	s := e.server.all()[0]
	c.Close()
	<-s.duplex.Load().broken
	require.GreaterOrEqual(t, s.work.lacks, recordsMax)
}
