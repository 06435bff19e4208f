// Package canon encodes the state of a value that knows no encoding of its own, such as one of
// a library: it reads all fields, exported or not, by reflection, and writes nothing.
//
// Two values with the same bytes are the same but for the fields that are left out. So whoever
// leaves out a field says why it makes no difference, and every other one counts, also one that
// is added later.
package canon
