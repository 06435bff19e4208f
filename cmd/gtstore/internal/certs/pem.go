package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	certBlock = "CERTIFICATE"
	keyBlock  = "PRIVATE KEY"
)

// fileBytesMax is the most that is read of a file.
const fileBytesMax = 1 << 20

// newKey makes a private key.
func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func keyText(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), err
}

func certText(list ...*x509.Certificate) (text []byte) {
	for _, c := range list {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: certBlock, Bytes: c.Raw})...)
	}
	return text
}

// readBlocks returns what the PEM blocks of a file have; the error matches fs.ErrNotExist if there
// is none.
func readBlocks(name, kind string) (blocks [][]byte, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > fileBytesMax {
		return nil, fmt.Errorf("%s is not a file of at most %d bytes", name, fileBytesMax)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		if block.Type == kind {
			blocks = append(blocks, block.Bytes)
		}
		text = rest
	}
	if len(blocks) == 0 {
		return nil, fmt.Errorf("%s has no PEM block %q: bring the file back, or remove it to have it made anew", name, kind)
	}
	return blocks, nil
}

// readCerts reads certificates.
func readCerts(name string) (list []*x509.Certificate, err error) {
	blocks, err := readBlocks(name, certBlock)
	if err != nil {
		return nil, err
	}
	for _, der := range blocks {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, c)
	}
	return list, nil
}

// readKey reads a private key.
func readKey(name string) (*ecdsa.PrivateKey, error) {
	blocks, err := readBlocks(name, keyBlock)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(blocks[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	own, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: it has a key of another kind (%T) than this command makes: keep it elsewhere", name, key)
	}
	return own, nil
}

func isAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// write writes a file for its owner only, as a whole and to the disk. One that exists is an error,
// unless it is to be replaced.
func write(name string, text []byte, replace bool) error {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // where it was renamed it is not there
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if replace {
		err = os.Rename(f.Name(), name)
	} else {
		err = os.Link(f.Name(), name) // fails where there is one
	}
	return errors.Join(err, syncDir(dir))
}

// syncDir has a directory's new names on the disk, where the system can do that.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync() // not every system can
	return d.Close()
}
