package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// Exit codes. Scripts depend on them, so a number never changes its meaning.
const (
	ExitOK          = 0
	ExitError       = 1
	ExitUsage       = 2
	ExitNotFound    = 3 // the key is absent, or there is no such node or manager
	ExitUnavailable = 4 // unreachable or unavailable: nothing was done
	ExitUnknown     = 5 // the outcome is unknown: the write may have happened
	ExitViolated    = 6 // a property was violated
	ExitConflict    = 7 // compare-and-swap: the key has another version
	ExitGroupLost   = 8 // no copy of a group's data is left
	ExitOverloaded  = 9
)

// Error is an error that says with which code the process exits.
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error without the code.
func (e *Error) Unwrap() error { return e.Err }

// Errorf is fmt.Errorf with an exit code.
func Errorf(code int, format string, args ...any) error {
	return &Error{code, fmt.Errorf(format, args...)}
}

// Failed gives an error the code ExitError, unless it has one.
func Failed(err error) error {
	if err == nil || errors.As(err, new(*Error)) {
		return err
	}
	return &Error{ExitError, err}
}

// Code is the exit code of what a command tree returned. The commands return
// errors with a code (see Failed), so one without comes from the parser of the
// command line.
func Code(err error) int {
	var coded *Error
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &coded):
		return coded.Code
	}
	return ExitUsage
}

// IsTerminal tells whether somebody may be watching what is written: it is a
// character device other than the null device, and not a dumb one.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// Grouped writes a whole number with a comma between thousands.
func Grouped[N ~int | ~int64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(digits) - 3; i > start; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
