package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gtstore/core"
)

// shapeField is one NAME=VALUE of the heading: how it is written, read and
// checked, in one place so that the three agree.
type shapeField struct {
	line, name string
	want       string // what is accepted
	get        func(*Shape) string
	set        func(*Shape, string) bool // reports whether it accepts the text
	good       func(*Shape) bool         // reports whether the value is within bounds
}

// shapeFields are in the order of the canonical text, those of a line together.
var shapeFields = [...]shapeField{
	number("cluster", "nodes", 1, NodesMax, func(sh *Shape) *int { return &sh.Nodes }),
	number("cluster", managersField, 1, ManagersMax, func(sh *Shape) *int { return &sh.Managers }),
	number("cluster", "replicas", 0, 3, func(sh *Shape) *int { return &sh.Replicas }),
	number("cluster", "clients", 1, ClientsMax, func(sh *Shape) *int { return &sh.Clients }),
	number("cluster", "width", 1, WidthMax, func(sh *Shape) *int { return &sh.Width }),
	choice("cluster", "mode", "memory", "durable", func(sh *Shape) *bool { return &sh.Durable }),
	{
		"cluster", "reads", "confirm or lease",
		func(sh *Shape) string { return sh.Reads.String() },
		func(sh *Shape, text string) bool { return readsOption(&sh.Reads)(text) },
		func(sh *Shape) bool { return sh.Reads == core.ReadConfirm || sh.Reads == core.ReadLease },
	},
	number("cluster", "min-chain", 1, 4, func(sh *Shape) *int { return &sh.MinChain }),
	{
		"cluster", "placement", "key, or slots=N with a power of two from 2 to 65536",
		func(sh *Shape) string { return sh.Placement.String() },
		func(sh *Shape, text string) (ok bool) {
			p, err := core.ParsePlacement(text)
			sh.Placement = p
			return err == nil
		},
		func(sh *Shape) bool {
			_, err := core.ParsePlacement(sh.Placement.String())
			return err == nil
		},
	},
	number("cluster", "log-keep", 1, LogKeepMax, func(sh *Shape) *int { return &sh.LogKeep }),
	number("cluster", "commands", 1, CommandsMax, func(sh *Shape) *int { return &sh.Commands }),
	number("cluster", "sessions", 1, core.SessionsMax/2, func(sh *Shape) *int { return &sh.Sessions }),
	number("cluster", "chunk", 1, core.ChunkItemsMax, func(sh *Shape) *int { return &sh.Chunk }),
	duration("cluster", "quarantine", 1, func(sh *Shape) *time.Duration { return &sh.Quarantine }),
	choice("cluster", "on-group-loss", "continue", "halt", func(sh *Shape) *bool { return &sh.Halt }),
	choice("cluster", lossesField, "any", "none", func(sh *Shape) *bool { return &sh.Lossless }),
	{
		"cluster", "seed", "a number from 0",
		func(sh *Shape) string { return strconv.FormatUint(sh.Seed, 10) },
		func(sh *Shape, text string) bool {
			n, err := strconv.ParseUint(text, 10, 64)
			sh.Seed = n
			return err == nil
		},
		func(*Shape) bool { return true },
	},
	number("cluster", "batch", 1, BatchMax, func(sh *Shape) *int { return &sh.Batch }),
	{
		"network", "latency", "MIN..MAX, each more than 0s and at most 1h, such as 1ms..5ms",
		func(sh *Shape) string { return sh.LatencyMin.String() + ".." + sh.LatencyMax.String() },
		func(sh *Shape, text string) bool {
			low, high, ok := strings.Cut(text, "..")
			if !ok {
				high = low
			}
			return durationOption(&sh.LatencyMin)(low) && durationOption(&sh.LatencyMax)(high)
		},
		func(sh *Shape) bool {
			return 0 < sh.LatencyMin && sh.LatencyMin <= sh.LatencyMax && sh.LatencyMax <= DurationMax
		},
	},
	number("network", "connect", 0, ConnectMax, func(sh *Shape) *int { return &sh.Connect }),
	duration("disk", "sync", 0, func(sh *Shape) *time.Duration { return &sh.SyncLatency }),
	duration("clients", "timeout", 1, func(sh *Shape) *time.Duration { return &sh.OpTimeout }),
	number(limitsLine, "pending", 2, 1<<16, func(sh *Shape) *int { return &sh.Limits.Pending }),
	number(limitsLine, "reads", 1, 1<<16, func(sh *Shape) *int { return &sh.Limits.Reads }),
	number(limitsLine, "parked", 1, 1<<16, func(sh *Shape) *int { return &sh.Limits.Parked }),
	number(limitsLine, "join-rate", 1<<10, RateMax, func(sh *Shape) *int { return &sh.Limits.JoinRate }),
	duration(limitsLine, "session-ttl", time.Millisecond, func(sh *Shape) *time.Duration { return &sh.Limits.SessionTTL }),
	duration(limitsLine, "session-idle", time.Millisecond, func(sh *Shape) *time.Duration { return &sh.Limits.SessionIdle }),
}

const (
	managersField = "managers" // left out of the canonical text where there is one
	lossesField   = "losses"   // left out where any are allowed
)

// limitsLine is left out of the canonical text where all limits are the usual ones.
const limitsLine = "limits"

func number(line, name string, low, high int, at func(*Shape) *int) shapeField {
	return shapeField{
		line, name, fmt.Sprintf("a number from %d to %d", low, high),
		func(sh *Shape) string { return strconv.Itoa(*at(sh)) },
		func(sh *Shape, text string) bool { return numberOption(at(sh))(text) },
		func(sh *Shape) bool { return low <= *at(sh) && *at(sh) <= high },
	}
}

func duration(line, name string, low time.Duration, at func(*Shape) *time.Duration) shapeField {
	return shapeField{
		line, name, fmt.Sprintf("a duration from %s to %s, such as 2ms", low, DurationMax),
		func(sh *Shape) string { return at(sh).String() },
		func(sh *Shape, text string) bool { return durationOption(at(sh))(text) },
		func(sh *Shape) bool { return low <= *at(sh) && *at(sh) <= DurationMax },
	}
}

func choice(line, name, no, yes string, at func(*Shape) *bool) shapeField {
	return shapeField{
		line, name, no + " or " + yes,
		func(sh *Shape) string {
			if *at(sh) {
				return yes
			}
			return no
		},
		func(sh *Shape, text string) bool {
			*at(sh) = text == yes
			return text == yes || text == no
		},
		func(*Shape) bool { return true },
	}
}
