package backup

import (
	"gtstore/core"
	"gtstore/core/wire"
)

const magic = "GTBACKUP"

// Records, by their first byte.
const (
	recordHeader byte = iota + 1
	recordBegin
	recordItems
	recordGroup
	recordEnd
)

// lengthBytes is how many bytes tell the length of a record.
const lengthBytes = 4

// Header says what a backup is of.
type Header struct {
	Cluster  core.ClusterID
	Time     int64 // when it was begun: nanoseconds since 1970
	Replicas uint64
	Groups   uint64
}

func (h *Header) code(c *wire.Coder) {
	c.Tag(recordHeader)
	wire.Fixed64(c, &h.Cluster)
	wire.Int(c, &h.Time)
	wire.Uint(c, &h.Replicas)
	wire.Uint(c, &h.Groups)
}

func codeBegin(c *wire.Coder, id *core.GroupID) {
	c.Tag(recordBegin)
	wire.Uint(c, id)
}

// itemBytesMin is the least number of bytes of an item.
const itemBytesMin = 3

func codeItems(c *wire.Coder, items *[]core.Item) {
	c.Tag(recordItems)
	for i := range wire.Slice(c, items, core.ChunkItemsMax, itemBytesMin) {
		it := &(*items)[i]
		wire.String(c, &it.Key, core.KeyBytesMax)
		c.Check(it.Key != "", "empty key")
		wire.String(c, &it.Value, core.ValueBytesMax)
		wire.Uint(c, &it.Version)
	}
}

// Group is a group that is complete.
type Group struct {
	ID       core.GroupID
	Epoch    core.Epoch
	Position core.Seq
	Keys     uint64
}

func (g *Group) code(c *wire.Coder) {
	c.Tag(recordGroup)
	wire.Uint(c, &g.ID)
	wire.Uint(c, &g.Epoch)
	wire.Uint(c, &g.Position)
	wire.Uint(c, &g.Keys)
}

// end is the last record.
type end struct {
	groups, keys, records uint64 // the records before this one
	sum                   string
}

func (e *end) code(c *wire.Coder) {
	c.Tag(recordEnd)
	wire.Uint(c, &e.groups)
	wire.Uint(c, &e.keys)
	wire.Uint(c, &e.records)
	wire.String(c, &e.sum, sumBytes)
}
