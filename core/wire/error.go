package wire

import (
	"errors"
	"fmt"
)

// The classes of error, to be matched with errors.Is.
var (
	ErrTruncated = errors.New("wire: truncated")         // a value goes on after the end of the input
	ErrMalformed = errors.New("wire: malformed")         // bytes that no encoder writes
	ErrLimit     = errors.New("wire: limit exceeded")    // a length above what the field allows
	ErrChecksum  = errors.New("wire: checksum mismatch") // a damaged frame
	ErrVersion   = errors.New("wire: unknown version")   // an intact frame of another version
)

// Error is the first thing that was wrong with a value or its encoding.
type Error struct {
	Class      error  // one of the classes above
	What       string // what was being coded
	Offset     int    // where it starts, in bytes from the start of the frame
	Got, Limit uint64 // what was found; and what is allowed, left or wanted; both 0 when that says nothing
}

func (e *Error) Error() string {
	if e.Got == 0 && e.Limit == 0 {
		return fmt.Sprintf("%v: %s at offset %d", e.Class, e.What, e.Offset)
	}
	bound := "limit"
	switch e.Class {
	case ErrTruncated:
		bound = "left"
	case ErrVersion:
		bound = "want"
	}
	return fmt.Sprintf("%v: %s at offset %d: %d, %s %d", e.Class, e.What, e.Offset, e.Got, bound, e.Limit)
}

// Unwrap returns the class.
func (e *Error) Unwrap() error { return e.Class }
