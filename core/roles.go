package core

import "fmt"

// Role is what a process is among the others. Only where processes show who they are does it
// count; the nodes of this package look at what a message says.
type Role uint8

const (
	RoleManager  Role = 1 << iota // keeps the Directory
	RoleNode                      // a storage node
	RoleClient                    // gets and puts
	RoleOperator                  // does that too, and administers the cluster
)

// Roles are all of them.
var Roles = []Role{RoleManager, RoleNode, RoleClient, RoleOperator}

func (r Role) String() string {
	switch r {
	case RoleManager:
		return "manager"
	case RoleNode:
		return "node"
	case RoleClient:
		return "client"
	case RoleOperator:
		return "operator"
	}
	return fmt.Sprintf("Role(%d)", uint8(r))
}

// NameBits are the upper ones of the id of a client or an operator that stand for its name,
// where processes show who they are. The others are its choice.
const NameBits = 32

// sameName tells whether the ids of clients are of one name.
func (id NodeID) sameName(other NodeID) bool { return id>>(64-NameBits) == other>>(64-NameBits) }

// Valid tells whether it is one of the Roles.
func (r Role) Valid() bool {
	return r == RoleManager || r == RoleNode || r == RoleClient || r == RoleOperator
}

// Listens tells whether processes of the role can be connected to.
func (r Role) Listens() bool { return r == RoleManager || r == RoleNode }

// ways are who may say something, and to whom: sets of roles.
type ways struct{ from, to Role }

const (
	usersOnly = RoleClient | RoleOperator
	anyRole   = RoleManager | RoleNode | usersOnly
)

// roles says for each kind of message who may send it to whom. A local message has no ways.
var roles = [KindCount][]ways{
	KindRegister:   {{RoleNode, RoleManager}},
	KindRegistered: {{RoleManager, RoleNode}},
	KindFarewell:   {{RoleNode, RoleManager}},
	KindRefused:    {{RoleManager | RoleNode, anyRole}},
	KindPing:       {{RoleManager, RoleNode}},
	KindPong:       {{RoleNode, RoleManager}},
	KindProbe:      {{RoleManager | RoleNode | usersOnly, RoleNode}},
	KindProbeReply: {{RoleNode, RoleManager | RoleNode | usersOnly}},
	KindConfig:     {{RoleManager, RoleNode}},
	KindCaughtUp:   {{RoleNode, RoleManager}},
	KindSuspect:    {{RoleNode | usersOnly, RoleManager}},

	KindLookup:      {{usersOnly, RoleManager}},
	KindLookupReply: {{RoleManager, usersOnly}},
	KindOp:          {{usersOnly, RoleNode}},
	KindReply:       {{RoleNode, usersOnly}},
	KindStatusQuery: {{usersOnly, RoleManager}},
	KindStatusReply: {{RoleManager, usersOnly}},

	KindReplicate: {{RoleNode, RoleNode}},
	KindAck:       {{RoleNode, RoleNode}},
	KindNack:      {{RoleNode, RoleNode}},
	KindChunk:     {{RoleNode, RoleNode}},
	KindChunkAck:  {{RoleNode, RoleNode}},

	KindForget:        {{RoleOperator, RoleManager}},
	KindForgotten:     {{RoleManager, RoleOperator}},
	KindDrain:         {{RoleOperator, RoleManager}},
	KindDrained:       {{RoleManager, RoleOperator}},
	KindExport:        {{RoleOperator, RoleNode}},
	KindExported:      {{RoleNode, RoleOperator}},
	KindManagersQuery: {{RoleOperator, RoleManager}},
	KindManagersReply: {{RoleManager, RoleOperator}},

	KindQuorum:    {{RoleManager, RoleManager}},
	KindEnlist:    {{RoleManager, RoleManager}},
	KindNotLeader: {{RoleManager, anyRole}},
}

// MaySend tells whether a process of one role may send messages of the kind to one of another.
func (k Kind) MaySend(from, to Role) bool {
	if int(k) >= KindCount {
		return false
	}
	for _, w := range roles[k] {
		if w.from&from != 0 && w.to&to != 0 {
			return true
		}
	}
	return false
}
