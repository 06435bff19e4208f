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

// managerMark begins the name of a manager in an address. Without it the name is a node's.
var managerMark = core.RoleManager.String() + "/"

// Owner is how an address names whom it is of: a node by NAME, a manager by manager/NAME.
func (n Name) Owner() string {
	if n.Role == core.RoleManager {
		return managerMark + n.Name
	}
	return n.Name
}

// At returns the address of a node or a manager that is to be expected at HOST:PORT.
func (n Name) At(hostPort string) string { return core.JoinAddr(n.Owner(), hostPort) }

// Wanted is whom somebody expects at an address.
type Wanted struct {
	Role core.Role
	Name string // "" for any
}

// WantedAt returns whom an address is of, and the part of it that can be dialled. An address
// without a name is a manager's: any is expected there.
func WantedAt(address string) (w Wanted, hostPort string) {
	owner, hostPort := core.SplitAddr(address)
	name, isManager := strings.CutPrefix(owner, managerMark)
	if isManager || name == "" {
		return Wanted{core.RoleManager, name}, hostPort
	}
	return Wanted{core.RoleNode, name}, hostPort
}

// SplitAddress returns the name in an address, of a node or a manager, or "", and the part that
// can be dialled.
func SplitAddress(address string) (name, hostPort string) {
	w, hostPort := WantedAt(address)
	return w.Name, hostPort
}

// ManagerAddress makes of NAME@HOST:PORT, as people write the address of a manager, what WantedAt
// reads. HOST:PORT stays what it is. The error says what is wrong with the name.
func ManagerAddress(text string) (string, error) {
	owner, hostPort := core.SplitAddr(text)
	if owner == "" && hostPort == text {
		return text, nil
	}
	n := Name{Cluster: "any", Role: core.RoleManager, Name: strings.TrimPrefix(owner, managerMark)}
	if err := n.Check(); err != nil {
		return "", err
	}
	return n.At(hostPort), nil
}

// ShownAddress is an address as people write it: NAME@HOST:PORT or HOST:PORT.
func ShownAddress(address string) string { return strings.TrimPrefix(address, managerMark) }

func (w Wanted) String() string {
	if w.Name == "" {
		return "a " + w.Role.String()
	}
	return w.Role.String() + "/" + w.Name
}

// missed says that somebody else is there, and what to do.
func (w Wanted) missed(n Name) error {
	text := ""
	if w.Role == core.RoleManager && w.Name != "" && n.Role == core.RoleManager {
		text = fmt.Sprintf(": if %[1]s has taken its place, write %[1]s@ in the lists of managers; else find out who has the key of %[1]s, and deny it with --tls-deny", n.Name)
	}
	return fmt.Errorf("there is %s, and %v is expected%s", n.Short(), w, text)
}

func (w Wanted) is(n Name) bool { return n.Role == w.Role && (w.Name == "" || w.Name == n.Name) }
