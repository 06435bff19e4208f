package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"

	"gtstore/core"
)

// Name is what a certificate calls its owner. The zero Name is nobody's.
type Name struct {
	Cluster string
	Role    core.Role
	Name    string
}

const scheme = "gtstore"

// String is the name as a certificate has it.
func (n Name) String() string { return fmt.Sprintf("%s://%s/%v/%s", scheme, n.Cluster, n.Role, n.Name) }

// Short is the name within its cluster.
func (n Name) Short() string { return n.Role.String() + "/" + n.Name }

// URL is the name for a certificate's URIs.
func (n Name) URL() *url.URL {
	return &url.URL{Scheme: scheme, Host: n.Cluster, Path: "/" + n.Role.String() + "/" + n.Name}
}

// Check tells what is wrong with a name.
func (n Name) Check() error {
	switch {
	case !isWord(n.Cluster):
		return fmt.Errorf("the cluster %.80q: want 1 to %d letters, digits, '.', '_' or '-'", n.Cluster, core.NameBytesMax)
	case !isWord(n.Name):
		return fmt.Errorf("the name %.80q: want 1 to %d letters, digits, '.', '_' or '-'", n.Name, core.NameBytesMax)
	case !n.Role.Valid():
		return fmt.Errorf("the role: want manager, node, client or operator")
	}
	return nil
}

func isWord(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return len(s) >= 1 && len(s) <= core.NameBytesMax
}

// Parse reads a name as a certificate has it.
func Parse(text string) (Name, error) {
	rest, ok := strings.CutPrefix(text, scheme+"://")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 {
		return Name{}, fmt.Errorf("the URI %.200q: want gtstore://CLUSTER/ROLE/NAME", text)
	}
	n := Name{Cluster: parts[0], Role: roleOf(parts[1]), Name: parts[2]}
	if err := n.Check(); err != nil {
		return Name{}, fmt.Errorf("the URI %.200q: %w", text, err)
	}
	return n, nil
}

// roleOf returns the role that is called so; 0 for none.
func roleOf(text string) core.Role {
	for _, r := range core.Roles {
		if r.String() == text {
			return r
		}
	}
	return 0
}

// nameIn returns the one name that a certificate has.
func nameIn(c *x509.Certificate) (Name, error) {
	if len(c.URIs) != 1 {
		return Name{}, fmt.Errorf("the certificate has %d URI names: want one, gtstore://CLUSTER/ROLE/NAME", len(c.URIs))
	}
	return Parse(c.URIs[0].String())
}

// ownBits are those of a client's id that are its choice. The others are its certificate's.
const ownBits = 64 - core.NameBits

// Bind returns the id under which a client or an operator is known that says it has this one:
// the upper half stands for its name, and only the lower half is its choice. So nobody speaks
// under the id of a client of another name; to bind twice is the same as once.
func (n Name) Bind(id core.NodeID) core.NodeID {
	sum := sha256.Sum256([]byte(n.Short()))
	return core.NodeID(binary.BigEndian.Uint64(sum[:])>>ownBits<<ownBits | uint64(id)&(1<<ownBits-1))
}

// nameMark is between the name and the rest of an address.
const nameMark = "@"

// Address returns the address of a node with its name.
func Address(name, hostPort string) string { return name + nameMark + hostPort }

// SplitAddress returns the name in an address, or "", and the rest, which can be dialled.
func SplitAddress(address string) (name, hostPort string) {
	if name, rest, ok := strings.Cut(address, nameMark); ok {
		return name, rest
	}
	return "", address
}

// Wanted is whom somebody expects at an address.
type Wanted struct {
	Role core.Role
	Name string // "" for any
}

// WantedAt returns whom an address is of, and the part of it that can be dialled.
func WantedAt(address string) (w Wanted, hostPort string) {
	name, hostPort := SplitAddress(address)
	if name == "" {
		return Wanted{Role: core.RoleManager}, hostPort
	}
	return Wanted{core.RoleNode, name}, hostPort
}

func (w Wanted) String() string {
	if w.Name == "" {
		return "a " + w.Role.String()
	}
	return w.Role.String() + "/" + w.Name
}

func (w Wanted) is(n Name) bool { return n.Role == w.Role && (w.Name == "" || w.Name == n.Name) }
