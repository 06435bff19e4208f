package mutants

// ofPeers are mutants of whom a message is believed.
var ofPeers = []Mutant{
	{
		Name: `anybody-stops-a-node`, Rule: `what a peer may say`,
		Story: `one message under the name of the manager ends a storage node`,
		File:  `core/validate.go`,
		Old:   ` && m.Token == s.opt.Secret`,
		New:   ``,
	},
	{
		Name: `registered-by-anybody`, Rule: `what a peer may say`,
		Story: `a node takes anybody for its manager who says so`,
		File:  `core/validate.go`,
		Old:   ` && m.Secret == s.secret`,
		New:   ``,
	},
	{
		Name: `registered-in-its-name`, Rule: `what a peer may say`,
		Story: `a Register under the name of a dead node keeps it alive`,
		File:  `core/manager.go`,
		Old:   `	case n != nil && !n.follows(&c):`,
		New:   `	case n != nil && b.Boot < n.Boot:`,
	},
	{
		Name: `copies-are-moves`, Rule: `one start after the other`,
		Story: `a start from a copy of the data is taken for a move of its node`,
		File:  `core/directory.go`,
		Old: `		return c.Secret == n.secret && c.Node.Addr == n.Addr
	}
	return c.Node.Boot > n.Boot && c.Before == n.secret`,
		New: `		return true
	}
	return c.Node.Boot > n.Boot`,
	},
	{
		Name: `copy-of-who-runs`, Rule: `one start after the other`,
		Story: `a start takes the place of a node that still answers`,
		File:  `core/claim.go`,
		Old:   `	case m.away(c):`,
		New:   `	case true:`,
	},
	{
		Name: `copy-that-says-it-is-there`, Rule: `one start after the other`,
		Story: `a start that says that it is at the address of a node takes its place, whoever answers there`,
		File:  `core/claim.go`,
		Old:   `	case m.away(c):`,
		New:   `	case m.away(c) || start.Node.Addr == c.node.Addr:`,
	},
	{
		Name: `stalled-is-away`, Rule: `one start after the other`,
		Story: `a start takes the place of a node that stalls for a moment`,
		File:  `core/claim.go`,
		Old:   ` || m.silent(c) && m.now.Since(c.quietSince) >= m.lostAfter()`,
		New:   ` || m.silent(c)`,
	},
	{
		Name: `answered-before-the-move`, Rule: `one start after the other`,
		Story: `what a node answered before a start elsewhere was heard of has that start refused`,
		File:  `core/claim.go`,
		Old:   `		case l.nonce > b.Nonce:`,
		New:   `		case false:`,
	},
	{
		Name: `confirmed-while-unknown`, Rule: `one start after the other`,
		Story: `a start whose node is not on the list is confirmed at once, though Registers of earlier starts are under way`,
		File:  `core/manager.go`,
		Old:   `b.Inherited != 0 && n != nil && b.Inherited == n.secret:`,
		New:   `b.Inherited != 0 && (n == nil || b.Inherited == n.secret):`,
	},
	{
		Name: `refused-as-the-one-before`, Rule: `one start after the other`,
		Story: `a start that asks goes by the secret of the one before also where it is refused, so a late Register of that one stops it`,
		File:  `core/validate.go`,
		Old:   ` && m.Token == s.opt.Secret`,
		New:   ` && m.Token == s.secret`,
	},
	{
		Name: `question-is-a-start`, Rule: `one start after the other`,
		Story: `a start that carries on an unconfirmed secret, as a copy of it does too, takes its node's place with that`,
		File:  `core/directory.go`,
		Old: `			n.secret = c.Inherited
		}
		return applied{}`,
		New: `			n.secret = c.Inherited
		}
		if !n.follows(c) {
			return applied{}
		}`,
	},
	{
		Name: `secret-carried-on`, Rule: `one start after the other`,
		Story: `a start keeps the secret of the one before, once the manager has confirmed it: copies of that one do too`,
		File:  `core/storage.go`,
		Old: `			s.secret = s.opt.Secret
			s.persistIdentity()
			s.register()
			return`,
		New: `			s.persistIdentity()`,
	},
	{
		Name: `pong-without-token`, Rule: `what a peer may say`,
		Story: `a ping is answered by somebody who never got it`,
		File:  `core/contact.go`,
		Old:   `b.Token != c.token || `,
		New:   ``,
	},
	{
		Name: `farewell-without-token`, Rule: `what a peer may say`,
		Story: `somebody says farewell under the name of a node`,
		File:  `core/manager.go`,
		Old:   ` || b.Token != m.contact(n.ID).token`,
		New:   ``,
	},
	{
		Name: `invented-nodes-used`, Rule: `what a peer may say`,
		Story: `a group is formed of nodes that have answered nothing`,
		File:  `core/pace.go`,
		Old:   `return c.proven && `,
		New:   `return `,
	},
	{
		Name: `committed-entries-denied`, Rule: `what a peer may say`,
		Story: `entries are taken in that contradict what is committed`,
		File:  `core/group.go`,
		Old:   `	if g.denies(m) {`,
		New:   `	if false {`,
	},
	{
		Name: `member-amid-a-snapshot`, Rule: `what a peer may say`,
		Story: `a node that has half a snapshot takes it that it is a member`,
		File:  `core/storage.go`,
		Old:   `g.partial() && c.Position(s.self.ID) >= 0`,
		New:   `false`,
	},
	{
		Name: `ranges-not-checked`, Rule: `what a peer may say`,
		Story: `what a message says is taken in as it is`,
		File:  `core/storage.go`,
		Old:   `!inRange(&in) {`,
		New:   `false {`,
	},
}
