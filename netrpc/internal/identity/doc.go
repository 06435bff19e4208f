// Package identity says who a process is, and who its peers are: certificates of X.509,
// over TLS 1.3, in both directions.
//
// # Names
//
// A certificate has one URI name, gtstore://CLUSTER/ROLE/NAME. CLUSTER is whatever the
// operator calls the cluster; all its certificates have the same one, and others are
// refused. ROLE is manager, node, client or operator; package core says what each may say
// (Kind.MaySend). NAME is that of the node, or free. No host name or address is in a
// certificate, so a node can move.
//
// An address carries the name of who is there: that of a node is NAME@HOST:PORT, that of a
// manager manager/NAME@HOST:PORT. Whoever connects there expects that one. An address without a
// name is that of a manager of which no more is known, and any manager is expected there. People
// write NAME@HOST:PORT for a manager, as they name nobody else by an address.
//
// # Files
//
// A Source reads certificate, key, CA bundle and deny-list, and again when they have changed.
// It needs no goroutine: whoever makes a connection, or looks whether one may go on, has it
// look at the files, at most once a second. What does not fit together, is not whole or is not good
// now is logged, and what was read before stays; the deny-list is taken whatever the others are,
// but a name that is gone from it is let in only when the list is the same at the next look. The name of a process does not change while it runs.
//
// # When a connection ends
//
// At the end of the certificate with which it was made, of either side; when its CA is not in the
// bundle any more; when its name is on the deny-list. A session of TLS that is resumed is
// checked as a new one is.
package identity
