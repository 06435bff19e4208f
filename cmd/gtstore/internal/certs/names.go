package certs

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"gtstore/core"
)

// Roles are those that a certificate may have.
var Roles = []string{"manager", "node", "client", "operator"}

// Name is whose a certificate is, within its cluster.
type Name struct{ Role, Name string }

// ParseName reads ROLE:NAME.
func ParseName(text string) (Name, error) {
	role, name, ok := strings.Cut(text, ":")
	switch {
	case !ok || !slices.Contains(Roles, role):
		return Name{}, fmt.Errorf("%q: want ROLE:NAME, such as node:node1; the roles are %s", text, strings.Join(Roles, ", "))
	case !isWord(name):
		return Name{}, fmt.Errorf("%q: the name: %w", text, errWord)
	}
	return Name{role, name}, nil
}

// String is what ParseName reads.
func (n Name) String() string { return n.Role + ":" + n.Name }

// file is the name of its files, but for their ends.
func (n Name) file() string { return n.Role + "-" + n.Name }

const (
	scheme  = "gtstore"
	certEnd = ".crt"
	keyEnd  = ".key"
	caFile  = "ca"
)

// uri is the name that the certificate carries.
func (n Name) uri(cluster string) *url.URL {
	return &url.URL{Scheme: scheme, Host: cluster, Path: "/" + n.Role + "/" + n.Name}
}

// nameOf is the Name that a certificate's file is called after; false if it is none of these.
func nameOf(file string) (Name, bool) {
	base, ok := strings.CutSuffix(file, certEnd)
	role, name, _ := strings.Cut(base, "-")
	return Name{role, name}, ok && slices.Contains(Roles, role) && isWord(name)
}

var errWord = fmt.Errorf("want 1 to %d letters, digits, '.', '_' or '-'", core.NameBytesMax)

// isWord tells whether a text can be the name of a cluster, or of one in it.
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
