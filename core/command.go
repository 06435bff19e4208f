package core

// CommandKind names a change of the Directory.
type CommandKind uint8

const (
	CommandRegister    CommandKind = iota + 1 // Node
	CommandPlace                              // Unit, Members, Skip, Terms
	CommandReconfigure                        // Group, Epoch, Remove
	CommandGone                               // Node.ID
	CommandJoin                               // Group, Epoch, Node.ID
	CommandMember                             // Group, Epoch, Node.ID
	CommandDrain                              // Node.ID
	CommandStay                               // Node.ID
	CommandRetire                             // Node.ID, Node.Boot
	CommandTerms                              // Group, Epoch, Terms
	CommandFound                              // Group, Epoch
	CommandDoubtful                           // Group, Epoch
	CommandLost                               // Group, Epoch
	CommandHalt                               // nothing
	CommandGoOn                               // nothing
	commandKindEnd
)

// NodeRecord is what the Directory knows of a storage node.
type NodeRecord struct {
	Peer
	Name    string
	Process uint64
	Boot    Boot
}

// Command is one change of the Directory. Whether it changes anything is
// decided when it is applied, in order, so that racing commands are harmless.
type Command struct {
	Kind CommandKind

	// Node registers with this record. A boot below the known one changes nothing, nor
	// does the known boot with the known address. A new boot of a primary, and a new
	// address of a member, re-issue the group's chain at the next epoch (rule R11). A
	// new boot or a new address of a joining node ends its join.
	//
	// With CommandDrain an operator wants to stop Node. From now on it is not to be used:
	// its join ends if one is under way, and if it is a member, another is to take its
	// place. That holds until a new boot of it registers, or until CommandStay.
	// CommandStay lets a member stay; a node that is no longer a member stays drained.
	//
	// With CommandRetire the Directory forgets Node, if it is in no chain, joins none, and
	// has not been started since that Boot.
	Node NodeRecord

	// With CommandRegister, as in Register. A start that does not come after the one that
	// is known changes nothing: see nodeEntry.follows. One that has inherited a
	// secret changes only by which one the node's data are known.
	Secret, Before, Inherited uint64

	// Unit is to be mapped, if it is not yet: to a new group of Members if these
	// are uninitialised, else to the next group of the round robin that is
	// neither lost nor in Skip.
	Unit    Unit
	Members []NodeID
	Skip    []GroupID
	Terms   Terms // of the new group; with CommandTerms those of Group from its next epoch on

	// Group loses the members in Remove, if its epoch is still Epoch and at
	// least one member stays. An empty Remove re-issues the chain. With
	// CommandJoin, likewise if the epoch is current, Node begins to join the
	// group, if it is uninitialised and no other joins; 0 ends the join. With
	// CommandMember the node that joins becomes the last of the chain. With CommandTerms
	// nothing else changes than the Terms, if they are others.
	//
	// Several managers presume by a command that a group is lost: from the silence of its
	// members with CommandDoubtful, from what their addresses answer with CommandLost. They
	// take it back with CommandFound. So a group is told to be lost, and counts as lost, only
	// when a majority of the managers has it so. With CommandHalt all of them end for that,
	// unless CommandGoOn comes first.
	Group  GroupID
	Epoch  Epoch
	Remove []NodeID
}
