// Package generate draws schedules worth running from a Source of choices: short ones
// full of faults (Schedule), and long ones in which groups can heal (LongSchedule).
// The same choices give the same schedule for ever.
package generate
