// Package generate draws schedules from a Source of choices: short ones full of faults
// (Schedule), and long ones in which groups have the time to heal (LongSchedule). The
// same choices always give the same schedule.
package generate
