package core

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rolesNamed are the roles that a word of PROTOCOL.md's table of messages stands for.
var rolesNamed = map[string]Role{
	"manager": RoleManager, "node": RoleNode, "primary": RoleNode, "replica": RoleNode, "member": RoleNode, "learner": RoleNode,
	"joining node": RoleNode, "asked": RoleNode, "client": RoleClient | RoleOperator, "operator": RoleOperator,
	"any": anyRole, "sender": anyRole,
}

// What the roles may say is what PROTOCOL.md says of each message, and of each that no
// other role may. An operator may do what a client does. Of a status there is more to be said
// below.
func TestRolesAreThoseOfTheProtocolPage(t *testing.T) {
	text, err := os.ReadFile("PROTOCOL.md")
	require.NoError(t, err)
	rows := map[string][][2]Role{}
	words := func(cell string) (set Role) {
		for _, w := range regexp.MustCompile(`, | or `).Split(strings.TrimSpace(cell), -1) {
			role, ok := rolesNamed[w]
			require.True(t, ok, "which roles are %q?", w)
			set |= role
		}
		return set
	}
	for _, row := range regexp.MustCompile(`(?m)^\| ([A-Z][A-Za-z]+)(?: \([a-z]+\))? \| ([^|]+) → ([^|]+) \|`).FindAllStringSubmatch(string(text), -1) {
		rows[row[1]] = append(rows[row[1]], [2]Role{words(row[2]), words(row[3])})
	}
	for _, k := range wireKinds() {
		require.NotEmpty(t, rows[k.String()], "%v has no row", k)
		for _, from := range Roles {
			for _, to := range Roles {
				want := false
				for _, row := range rows[k.String()] {
					want = want || row[0]&from != 0 && row[1]&to != 0
				}
				require.Equal(t, want, k.MaySend(from, to), "%v from a %v to a %v", k, from, to)
			}
		}
	}
}

// What administers a cluster is for operators alone, and what keeps groups alive is for nodes
// and managers alone, whatever the page says.
func TestAClientDoesNoneOfWhatOperatorsAndNodesDo(t *testing.T) {
	clients := map[Kind]bool{KindLookup: true, KindOp: true, KindStatusQuery: true, KindSuspect: true, KindProbe: true}
	operators := map[Kind]bool{KindForget: true, KindDrain: true, KindExport: true, KindManagersQuery: true}
	for k := Kind(0); int(k) < KindCount+2; k++ {
		for _, to := range Roles {
			require.Equal(t, clients[k], k.MaySend(RoleClient, RoleManager) || k.MaySend(RoleClient, RoleNode), k)
			require.Equal(t, clients[k] || operators[k], k.MaySend(RoleOperator, RoleManager) || k.MaySend(RoleOperator, RoleNode), k)
			require.False(t, k.MaySend(to, 0), k)
			require.False(t, k.MaySend(0, to), k)
			if k.Local() {
				for _, from := range Roles {
					require.False(t, k.MaySend(from, to), "%v is of a node and its driver", k)
				}
			}
		}
	}
}
