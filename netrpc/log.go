package netrpc

import (
	"context"
	"log/slog"

	"gtstore/core"
)

// eventLog writes the events of a node to its log, but for those that each operation
// causes.
type eventLog struct{ *slog.Logger }

// said is how each kind of event is logged; a kind without a text is not.
var said = [core.EventKindCount]struct {
	level slog.Level
	text  string
}{
	core.EventAdopted:       {slog.LevelInfo, "a new epoch"},
	core.EventServing:       {slog.LevelInfo, "serving as primary"},
	core.EventDeposed:       {slog.LevelInfo, "no longer primary"},
	core.EventTruncated:     {slog.LevelInfo, "cut off entries that conflict, or that are not known to be committed"},
	core.EventSuspected:     {slog.LevelWarn, "a node does not answer; told the manager"},
	core.EventRegistered:    {slog.LevelInfo, "a node registered"},
	core.EventFormed:        {slog.LevelInfo, "formed a group"},
	core.EventReconfigured:  {slog.LevelInfo, "a group has a new config"},
	core.EventProbing:       {slog.LevelInfo, "a node is suspected, or about to stop; probing its group"},
	core.EventCleared:       {slog.LevelInfo, "nobody is removed: the suspected node answered, or nobody could go on in its place"},
	core.EventGone:          {slog.LevelInfo, "a node is gone with its data: it has stopped in good order, or was forgotten"},
	core.EventLost:          {slog.LevelError, "NO COPY OF A GROUP IS LEFT"},
	core.EventWithdrawn:     {slog.LevelWarn, "a member of a group presumed lost answered; the group is back"},
	core.EventJoining:       {slog.LevelInfo, "a spare joins a group"},
	core.EventJoined:        {slog.LevelInfo, "the joining node is a member"},
	core.EventJoinEnded:     {slog.LevelWarn, "gave up a join"},
	core.EventQuarantined:   {slog.LevelInfo, "a node left a chain or failed to join one; not used for a while"},
	core.EventDiscarded:     {slog.LevelInfo, "discarded what was held of a group"},
	core.EventKept:          {slog.LevelInfo, "joins with what it held of a group"},
	core.EventResumed:       {slog.LevelInfo, "the joining node has most of the data; it gets the log behind that"},
	core.EventInstalled:     {slog.LevelInfo, "the snapshot of a group is complete"},
	core.EventCaughtUp:      {slog.LevelInfo, "the joining node has caught up; told the manager"},
	core.EventChunkRefused:  {slog.LevelWarn, "a chunk of a snapshot is damaged; refused it"},
	core.EventDiskLate:      {slog.LevelWarn, "the disk has not ended a sync for a second: no key gets a group and nothing is repaired until it does"},
	core.EventDiskInTime:    {slog.LevelWarn, "the disk ends syncs in time again"},
	core.EventTerms:         {slog.LevelInfo, "a group has the manager's --reads, --lease and --min-chain from now on"},
	core.EventRetired:       {slog.LevelInfo, "a node that was silent for long and is in no group is off the list"},
	core.EventLacks:         {slog.LevelError, "a member knows more to be committed than the log of this primary has: its disk has lost what was durable. It does not serve, and makes room for another primary"},
	core.EventCopied:        {slog.LevelWarn, "refused a start of a node that runs: it is on a copy of the node's directory"},
	core.EventNotTaken:      {slog.LevelError, "the manager lists as many nodes as it can; asking again"},
	core.EventAhead:         {slog.LevelWarn, "a node says that it has seen more of the Directory than the manager has; it is not taken in"},
	core.EventDropped:       {slog.LevelInfo, "dropped a message that makes no sense here"},
	core.EventRefused:       {slog.LevelInfo, "refused a message for another node or cluster"},
	core.EventSqueezed:      {slog.LevelInfo, "writes are held back until the joining node has caught up"},
	core.EventLeads:         {slog.LevelInfo, "this manager leads the others from now on"},
	core.EventFollows:       {slog.LevelWarn, "this manager leads no more"},
	core.EventYields:        {slog.LevelWarn, "no storage node has answered this manager for long, and they ask another one, which it lets lead: look at the network between this machine and those of the nodes"},
	core.EventWaits:         {slog.LevelWarn, "this manager is empty, but the others are of a cluster: it founds none, and waits to be taken in there. The one that leads has it replace the one that was at this address; at another one 'gtstore managers' adds it"},
	core.EventListsDiffer:   {slog.LevelError, "this manager was started with other --managers than another one, or with a --dir and that one without: make them the same, or a cluster may never be founded"},
	core.EventFounded:       {slog.LevelInfo, "founded a cluster with the other managers"},
	core.EventResigns:       {slog.LevelInfo, "asked the manager to have the group go on without this node"},
	core.EventFenced:        {slog.LevelInfo, "refused a message of an earlier epoch: its sender was told of the config"},
	core.EventEvicted:       {slog.LevelWarn, "a node was removed from its chain"},
	core.EventPaused:        {slog.LevelInfo, "was stalled: that time counts against nobody"},
	core.EventAwaits:        {slog.LevelWarn, "no cluster is founded yet: this manager waits for others. All of the list have to be there, empty; one that has data of another cluster keeps the others waiting until it is started in an empty --dir"},
	core.EventTooFew:        {slog.LevelError, "too few managers are there for one to lead: nothing new is placed and nothing is repaired until more are started"},
	core.EventDirectoryGone: {slog.LevelError, "THE DIRECTORY IS GONE: most managers have lost their data, and none can lead any more. If the data of one are somewhere, start it on these. Else start a new cluster, and restore a backup into it"},
	core.EventRemoved:       {slog.LevelError, "this manager was removed from its cluster, and is none of its managers any more: stop it. Its data are of no use. To have a manager here again, start it in an empty --dir, and name it to 'gtstore managers'"},
	core.EventCopyRuns:      {slog.LevelError, "a manager with the identity of this one is heard by the others at another address: this one is on a copy of its directory, and takes part in nothing. Stop it. To have one more manager, start it in an empty --dir"},
}

// presumedLost is what is logged where a loss is not certain.
const presumedLost = "NO MEMBER OF A GROUP ANSWERS: it is presumed lost. Start one again where its data are, and the group is back"

// Said is how an event is logged: "" if it is not, since each operation causes such.
func Said(e *core.Event) (slog.Level, string) {
	s := said[e.Kind]
	switch {
	case e.Kind == core.EventLost && !e.Effect:
		return s.level, presumedLost
	case e.Cause == core.CauseResigned, e.Cause == core.CauseDrained:
		return slog.LevelInfo, s.text // as somebody wanted it
	}
	return s.level, s.text
}

// events logs what happened. Who is meant, beside this node, is "other".
func (l *eventLog) events(list []core.Event, h *host) {
	for i := range list {
		e := &list[i]
		level, text := Said(e)
		if text == "" {
			continue
		}
		attrs := make([]slog.Attr, 0, 8)
		if e.Group != 0 {
			attrs = append(attrs, slog.Uint64("group", uint64(e.Group)))
		}
		if e.Epoch != 0 {
			attrs = append(attrs, slog.Uint64("epoch", uint64(e.Epoch)))
		}
		switch {
		case e.Kind == core.EventLeads, e.Kind == core.EventFollows:
			attrs = append(attrs, slog.Uint64("term", uint64(e.Seq)))
		case e.Seq != 0:
			attrs = append(attrs, slog.Uint64("seq", uint64(e.Seq)))
		}
		if e.Node != 0 {
			attrs = append(attrs, slog.String("other", e.Node.String()))
			if name := h.nameOf(e.Node); name != "" {
				attrs = append(attrs, slog.String("name", Printable(name)))
			}
		}
		if e.Text != "" {
			attrs = append(attrs, slog.String("who", Printable(e.Text)))
		}
		if e.Cause != 0 {
			attrs = append(attrs, slog.String("cause", e.Cause.String()))
		}
		switch e.Kind {
		case core.EventReconfigured, core.EventAdopted, core.EventFormed:
			attrs = append(attrs, slog.String("chain", Printable(h.chainOf(e.Group))))
		}
		l.LogAttrs(context.Background(), level, text, attrs...)
	}
}

// logger is what a node logs with: the one that it was given, in bounds, or none.
func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(newLimiter(l.Handler()))
}
