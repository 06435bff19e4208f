// Package backup writes and reads the file of a backup.
//
// # The file
//
// The file is a stream: it is written and read from its beginning to its end, and neither
// side needs more memory than for one record.
//
//	magic    8 bytes, "GTBACKUP"
//	records  each: its length as 4 bytes, little endian, then a frame of package wire,
//	         of wire.BackupVersion, with a checksum of its own
//
// A record begins with a byte that tells what it is:
//
//	header   of which cluster the backup is, when it was begun, k, and how many groups follow
//	begin    a group begins. If it has begun before, that is void: it is begun anew.
//	items    keys of that group, with value and version. Of what several say about a key the
//	         last counts; version 0 means that the key is absent.
//	group    the group is complete: all since its begin is its state at that position of its
//	         log, in that epoch, which has so many keys
//	end      the backup is complete: how many groups, keys and records it has, and the SHA-256
//	         of all bytes before this record
//
// A file that ends before its end record is truncated. One of another version is told as
// that, and never as damaged.
package backup
