package netrpc

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode/utf8"

	"gtstore/core"
	"gtstore/netrpc/internal/identity"
)

// CheckManagerAddress is CheckAddress for that of a manager, which may be NAME@HOST:PORT: then who
// answers there has to have a certificate of that name.
func CheckManagerAddress(text string) error {
	address, err := identity.ManagerAddress(text)
	switch {
	case err != nil:
		return fmt.Errorf("%.200q: want HOST:PORT or NAME@HOST:PORT: %w", text, err)
	case len(address) > core.AddrBytesMax:
		return fmt.Errorf("%.20q…: want NAME@HOST:PORT of at most %d bytes", text, core.AddrBytesMax)
	}
	return CheckAddress(hostPort(address))
}

// ManagerAddresses turns the addresses of managers as people write them, HOST:PORT or
// NAME@HOST:PORT, into what a core.Peer and package core/quorum have. Without TLS a name is an
// error: nobody could tell whether it is true. So is a name at two places, or a place with two:
// nobody could be there.
func ManagerAddresses(list []string, tls bool) ([]string, error) {
	addresses := make([]string, len(list))
	for i, text := range list {
		if err := CheckManagerAddress(text); err != nil {
			return nil, fmt.Errorf("netrpc: the manager's address %w", err)
		}
		addresses[i], _ = identity.ManagerAddress(text) // which has been checked
		if plain := hostPort(addresses[i]); !tls && plain != addresses[i] {
			return nil, fmt.Errorf("netrpc: the manager's address %q has a name, which nobody can check without certificates: give this process --tls-cert, --tls-key and --tls-ca, or write %s", text, plain)
		}
		name, place := SplitAddress(addresses[i])
		for j, other := range addresses[:i] {
			otherName, otherPlace := SplitAddress(other)
			if name != "" && otherName != "" && (name == otherName) != (place == otherPlace) {
				return nil, fmt.Errorf("netrpc: of the managers' addresses %s and %s one is wrong: each manager has a place and a name of its own", list[j], text)
			}
		}
	}
	return addresses, nil
}

// CheckAddress tells what is wrong with an address that nobody can ever be reached at:
// one that is not HOST:PORT, with a host and a port from 1 to 65535. A name that cannot
// be looked up now, or a port where nobody listens, is nothing wrong with the address.
func CheckAddress(address string) error {
	host, text, err := net.SplitHostPort(address)
	port, portErr := strconv.ParseUint(text, 10, 16)
	switch {
	case strings.Contains(address, "@"):
		return fmt.Errorf("%q: want HOST:PORT, without a name", address)
	case strings.Contains(address, "://"):
		return fmt.Errorf("%q: want HOST:PORT, without %q", address, address[:strings.Index(address, "://")+3])
	case len(address) > core.AddrBytesMax:
		return fmt.Errorf("%.20q…: want HOST:PORT of at most %d bytes", address, core.AddrBytesMax)
	case err != nil:
		return fmt.Errorf("%q: want HOST:PORT, such as 127.0.0.1:7400", address)
	case host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '/' || r == '#' }):
		return fmt.Errorf("%q: want a host before the colon, such as 127.0.0.1:7400", address)
	case portErr != nil || port == 0:
		return fmt.Errorf("%q: want a port from 1 to 65535 after the colon, such as 127.0.0.1:7400", address)
	}
	return nil
}

// SplitAddress splits an address as a cluster keeps it. Where processes have certificates it has
// the name, of a node or a manager, and else name is "".
func SplitAddress(address string) (name, hostPort string) { return identity.SplitAddress(address) }

// ShownAddress is an address as people write it and read it: NAME@HOST:PORT or HOST:PORT.
func ShownAddress(address string) string { return identity.ShownAddress(address) }

// AddressName is what people call a node that is known by its address alone: the name in it, or
// the address where it has none.
func AddressName(address string) string {
	if name, _ := identity.SplitAddress(address); name != "" {
		return name
	}
	return address
}

// Printable makes text that comes from elsewhere fit for a line on a terminal or of a
// log. A node's name, for one, may be anything, and could else clear the screen or forge
// lines. Text of graphic characters and spaces stays as it is; in any other, what is not
// graphic is escaped as in a Go string.
func Printable(text string) string {
	odd := func(r rune) bool { return !strconv.IsGraphic(r) }
	if utf8.ValidString(text) && !strings.ContainsFunc(text, odd) {
		return text
	}
	quoted := strconv.QuoteToGraphic(text)
	return quoted[1 : len(quoted)-1]
}
