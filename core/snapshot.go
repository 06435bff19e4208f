package core

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"gtstore/core/wire"
)

// Several managers agree on the commands of one Directory (consensus.go). Each keeps it in
// memory; what is durable of it is a text now and then, and the commands since. The text is
// the records that a manager which is alone would have, and these that it has not.
const (
	keyCluster = "cluster"
	prefixLoss = "loss/" // + group that is presumed lost
)

// clusterRecord is what a manager that joins others has to know beside the Directory.
type clusterRecord struct {
	id      ClusterID
	halting bool
}

func (r *clusterRecord) code(c *wire.Coder) {
	wire.Fixed64(c, &r.id)
	c.Bool(&r.halting)
}

// lossRecord is what the managers presume of a group.
type lossRecord struct{ loss loss }

func (r *lossRecord) code(c *wire.Coder) { wire.Enum(c, &r.loss, lossCertain) }

// Bounds of a record in a text: above any that there can be.
const (
	textKeyMax    = KeyBytesMax + 64
	textRecordMax = 1 << 16
)

// text returns the whole Directory. The same Directory has the same text.
func (d *Directory) text(cluster ClusterID) string {
	var space textSpace
	var r recorder
	put := func(key string, tag byte, v coded) {
		space = append(space, Write{Key: key, Value: r.record(key, tag, v)})
	}
	put(keyCluster, tagCluster, &clusterRecord{cluster, d.halting})
	put(keyDirectory, tagDirectory, d.record())
	for _, g := range d.groups {
		put(ordered(prefixGroup, uint64(g.config.Group)), tagConfig, g.config)
	}
	for _, g := range d.groups {
		if g.presumed != lossNone {
			put(ordered(prefixLoss, uint64(g.config.Group)), tagLoss, &lossRecord{g.presumed})
		}
	}
	for _, n := range d.nodes {
		put(ordered(prefixNode, uint64(n.since)), tagNode, n)
	}
	for _, u := range slices.Sorted(maps.Keys(d.units)) {
		put(prefixUnit+string(u), tagMapping, &mapping{d.units[u]})
	}
	c := wire.NewEncoder(nil)
	space.code(&c)
	return string(c.Seal())
}

// readDirectory reads what text wrote, and returns the cluster too.
func readDirectory(text string) (*Directory, ClusterID, error) {
	var space textSpace
	c := wire.NewDecoder([]byte(text))
	space.code(&c)
	if err := c.End(); err != nil {
		return nil, 0, fmt.Errorf("core: the text of a Directory: %w: %w", ErrDamaged, err)
	}
	d := newDirectory(PlacementKey)
	if err := d.restore(space); err != nil {
		return nil, 0, fmt.Errorf("core: the text of a Directory: %w", err)
	}
	var head clusterRecord
	err := records(space, keyCluster, func(k, v string) error { return readRecord(k, v, tagCluster, &head) })
	if err != nil {
		return nil, 0, fmt.Errorf("core: the text of a Directory: %w", err)
	}
	d.halting = head.halting
	err = records(space, prefixLoss, func(k, v string) error {
		id, _ := number(k[len(prefixLoss):])
		var r lossRecord
		g := d.group(GroupID(id))
		if g == nil {
			return fmt.Errorf("group %d is presumed lost, and has no record", id)
		}
		err := readRecord(k, v, tagLoss, &r)
		g.presumed = r.loss
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("core: the text of a Directory: %w", err)
	}
	return d, head.id, nil
}

// textSpace is a text as a Space.
type textSpace []Write

func (s *textSpace) code(c *wire.Coder) {
	for i := range wire.Slice(c, (*[]Write)(s), math.MaxInt32, 2) {
		wire.String(c, &(*s)[i].Key, textKeyMax)
		wire.String(c, &(*s)[i].Value, textRecordMax)
	}
}

// Range implements Space. The records of a kind stand together, in the order of their keys.
func (s textSpace) Range(prefix string, f func(key, value string) error) error {
	for i := range s {
		if !strings.HasPrefix(s[i].Key, prefix) {
			continue
		}
		if err := f(s[i].Key, s[i].Value); err != nil {
			return err
		}
	}
	return nil
}
