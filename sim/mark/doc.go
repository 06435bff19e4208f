// Package mark names the situations that a run can come to: the races that the
// protocol must survive. It says of each which rule or failure it stands for, and in
// a sentence what has happened. Who notices that a run came to one is not its matter:
// see the packages sim and check.
package mark
