// Package certs makes a cluster's certification authority and certificates, in one directory:
//
//	ca.crt          the authority's certificate; two during an overlap, the newest first
//	ca.key          its private key: whoever has it can make a certificate of any name
//	ROLE-NAME.crt   a certificate, for instance node-node1.crt
//	ROLE-NAME.key   its private key
//
// A certificate carries one URI name, gtstore://CLUSTER/ROLE/NAME, and the hosts that were asked
// for. Keys are of ECDSA P-256, in PKCS #8; all files are PEM. A certificate is good for a year,
// unless told otherwise, an authority for ten, and both from an hour before they were made, for
// clocks that are slow.
//
// Directory and files are for their owner only. A file that exists is never overwritten, but by
// what is asked to replace it: a renewal, and the beginning and the end of an overlap. Each of
// these replaces one file as a whole, or two in an order in which the state between is good.
package certs
