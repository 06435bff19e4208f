package core

import "strings"

// nameMark ends the name in an address, if there is one.
const nameMark = "@"

// SplitAddr returns the name in an address, "" where it has none, and the place: the part that
// can be dialled. Where processes have certificates an address is NAME@HOST:PORT, and whoever
// connects there expects that name; else it is HOST:PORT.
func SplitAddr(addr string) (name, place string) {
	if name, place, ok := strings.Cut(addr, nameMark); ok {
		return name, place
	}
	return "", addr
}

// JoinAddr is the address of that name at that place.
func JoinAddr(name, place string) string { return name + nameMark + place }

// Place is the part of an address that can be dialled.
func Place(addr string) string {
	_, place := SplitAddr(addr)
	return place
}

func nameIn(addr string) string {
	name, _ := SplitAddr(addr)
	return name
}

// NamedAddr is an address with that name, where it has none itself.
func NamedAddr(name, addr string) string {
	if own, place := SplitAddr(addr); own == "" && name != "" {
		return JoinAddr(name, place)
	}
	return addr
}

// SameAddr tells whether two addresses may be one process's: they have the same place, and not
// two names. Without certificates, and before a name was heard of, there is none.
func SameAddr(a, b string) bool { return Place(a) == Place(b) && !OtherName(a, b) }

// OtherName tells whether two addresses have two names: then they are two processes', whatever
// their places.
func OtherName(a, b string) bool {
	nameA, nameB := nameIn(a), nameIn(b)
	return nameA != "" && nameB != "" && nameA != nameB
}

func isNamed(addr string) bool { return strings.Contains(addr, nameMark) }
