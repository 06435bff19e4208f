package cli

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"gtstore/netrpc"
)

// bounded is the value of a flag that lies between two others. The parser refuses
// anything else, and so does Configure; the help and the refusal say the bounds.
type bounded[T cmp.Ordered] struct {
	at          *T
	least, most T
	kind        string // for the help
	parse       func(string) (T, error)
}

// String implements pflag.Value, as do Set and Type.
func (b *bounded[T]) String() string { return fmt.Sprint(*b.at) }

// Set takes a value within the bounds.
func (b *bounded[T]) Set(text string) error {
	v, err := b.parse(text)
	if err != nil || v < b.least || v > b.most {
		return fmt.Errorf("want a %s from %v to %v", b.kind, b.least, b.most)
	}
	*b.at = v
	return nil
}

// Type is the word for the value in the help.
func (b *bounded[T]) Type() string { return b.kind }

func addBounded[T cmp.Ordered](flags *pflag.FlagSet, b *bounded[T], name string, value T, usage string) {
	*b.at = value
	flags.Var(b, name, fmt.Sprintf("%s; %v to %v", usage, b.least, b.most))
	if *new(T) == value {
		flags.Lookup(name).DefValue = "0" // in whatever unit: the help leaves it out
	}
}

// directory is the value of a flag that names a directory. An empty one is refused: it is a
// variable that was not set, and whoever gives it does not mean to have none.
type directory struct{ at *string }

// String implements pflag.Value, as do Set and Type.
func (d directory) String() string { return *d.at }

// Set takes a name.
func (d directory) Set(name string) error {
	if name == "" {
		return errors.New("want the name of a directory: leave the flag out for none")
	}
	*d.at = name
	return nil
}

// Type is the word for the value in the help.
func (d directory) Type() string { return "directory" }

// Directory defines a flag that names a directory; without it there is none.
func Directory(flags *pflag.FlagSet, at *string, name, usage string) {
	flags.Var(directory{at}, name, usage)
}

// Int defines a flag that is a whole number from least to most.
func Int(flags *pflag.FlagSet, at *int, name string, value, least, most int, usage string) {
	addBounded(flags, &bounded[int]{at, least, most, "number", strconv.Atoi}, name, value, usage)
}

// Uint64 defines a flag that is any whole number from 0.
func Uint64(flags *pflag.FlagSet, at *uint64, name string, value uint64, usage string) {
	parse := func(text string) (uint64, error) { return strconv.ParseUint(text, 10, 64) }
	addBounded(flags, &bounded[uint64]{at, 0, math.MaxUint64, "number", parse}, name, value, usage)
}

// Share defines a flag that is a share of a whole, from 0 to 1.
func Share(flags *pflag.FlagSet, at *float64, name string, value float64, usage string) {
	parse := func(text string) (float64, error) {
		v, err := strconv.ParseFloat(text, 64)
		if math.IsNaN(v) { // it is within any bounds
			err = strconv.ErrRange
		}
		return v, err
	}
	addBounded(flags, &bounded[float64]{at, 0, 1, "number", parse}, name, value, usage)
}

// Duration defines a flag that is a time from least to most.
func Duration(flags *pflag.FlagSet, at *time.Duration, name string, value, least, most time.Duration, usage string) {
	addBounded(flags, &bounded[time.Duration]{at, least, most, "time", time.ParseDuration}, name, value, usage)
}

// Address is the value of a flag that names where a process is, or is to be.
type Address struct {
	Value   string
	Several string // the flag that takes several, if there is one
	Listen  bool   // where to listen: the host may be left out, and port 0 lets the system choose
	Manager bool   // a manager's, with or without its name
}

// String implements pflag.Value, as do Set and Type.
func (a *Address) String() string { return a.Value }

// Set takes an address that can be one, whether or not anybody is there.
func (a *Address) Set(text string) error {
	if a.Several != "" && strings.Contains(text, ",") {
		return fmt.Errorf("%q: want one %s; several are named with %s", text, a.Type(), a.Several)
	}
	check := text
	if host, port, err := net.SplitHostPort(text); a.Listen && err == nil {
		if host == "" {
			host = "localhost"
		}
		if port == "0" {
			port = "1"
		}
		check = net.JoinHostPort(host, port)
	}
	checks := netrpc.CheckAddress
	if a.Manager {
		checks = netrpc.CheckManagerAddress
	}
	if err := checks(check); err != nil {
		return err
	}
	a.Value = text
	return nil
}

// Type is the word for the value in the help.
func (a *Address) Type() string {
	if a.Manager {
		return "[NAME@]HOST:PORT"
	}
	return "HOST:PORT"
}

// Addresses is the value of a flag that names one process or several, with commas.
type Addresses []string

// String implements pflag.Value, as do Set and Type.
func (a *Addresses) String() string { return strings.Join(*a, ",") }

// Set takes addresses that can be one, each of them.
func (a *Addresses) Set(text string) (err error) {
	*a, err = addressesIn(text, netrpc.CheckAddress)
	return err
}

// Type is the word for the value in the help.
func (*Addresses) Type() string { return "HOST:PORT,…" }

// Managers is the value of a flag that names one manager or several, as Addresses does, each with or
// without its name.
type Managers []string

// String implements pflag.Value, as do Set and Type.
func (m *Managers) String() string { return strings.Join(*m, ",") }

// Set takes addresses that can be a manager's, each of them.
func (m *Managers) Set(text string) (err error) {
	*m, err = addressesIn(text, netrpc.CheckManagerAddress)
	return err
}

// Type is the word for the value in the help.
func (*Managers) Type() string { return "[NAME@]HOST:PORT,…" }

func addressesIn(text string, check func(string) error) ([]string, error) {
	list := strings.Split(text, ",")
	for i, one := range list {
		list[i] = strings.TrimSpace(one)
		if err := check(list[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}
