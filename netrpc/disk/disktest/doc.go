// Package disktest has file systems for the engine that fail, as disks do. The processes of
// tests use them.
package disktest
