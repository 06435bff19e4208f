package sim

import (
	"testing"

	"pgregory.net/rapid"

	"gtstore/core"
	"gtstore/core/coretest"
	"gtstore/sim/schedule"
)

// tested is a disk of the simulator, without a world that tells it when a sync ends.
type tested struct {
	disk
	synced int
}

func (d *tested) Write(batch []core.Write) {
	d.gate.Take(batch, nil, func(*core.Envelope) {})
	d.gate.Begin()
}

func (d *tested) Synced(wait bool) int {
	for n := d.gate.UnderWay(); n > 0 && (wait || n%3 == 0); n-- {
		d.finish(func(*core.Envelope) {})
		d.synced++
	}
	return d.synced
}

func (d *tested) Crash(draw func(string, int) int) {
	d.crash(draw("kept", d.gate.Pending()+1), draw("torn", schedule.TornMax))
	d.synced = 0
}

func (d *tested) Stop() { d.synced = 0 }

// What real disks are held to holds for the simulator's as well: what it never does to a
// node would not be tried.
func TestTheSimulatorsDiskConforms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { coretest.Conform(t, &tested{}) })
}
