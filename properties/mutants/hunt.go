package mutants

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Caught says who caught a mutant, and what that took.
type Caught struct {
	By string // a property, a trace of the gallery or a test; "" for nobody

	// The search over generated schedules. From Schedules on these are medians over the
	// seeds that found it.
	Seeds, Found  int // how many seeds were searched, and how many of them found it
	Schedules     int
	Seconds       float64
	Before, After int // size of the schedule, before and after shrinking
}

// Hunt builds the mutant of the module at root, in dir, and looks for who catches it.
// First come generated schedules: so many at most for each of the seeds 1 to seeds. With
// learn the search varies those that did something new. Then come the mutant's traces in the gallery, and last the core's scenario tests.
func (m *Mutant) Hunt(root, dir string, seeds, schedules int, learn bool) (*Caught, error) {
	binary, err := m.Build(root, dir)
	if err != nil {
		return nil, err
	}
	c := &Caught{Seeds: seeds}
	if err := c.search(root, dir, binary, schedules, learn); err != nil || c.By != "" {
		return c, err
	}
	if c.By, err = m.exhibited(root, binary); err != nil || c.By != "" {
		return c, err
	}
	c.By, err = m.tested(root, dir)
	return c, err
}

// search has gtstore fuzz search for a schedule that breaks the mutant.
func (c *Caught) search(root, dir, binary string, schedules int, learn bool) error {
	var counts, before, after []int
	var seconds []float64
	for seed := 1; seed <= c.Seeds; seed++ {
		cmd := exec.Command(binary, "fuzz", fmt.Sprintf("--learn=%t", learn), "--seed", fmt.Sprint(seed), "--schedules", fmt.Sprint(schedules), "--out", dir, "-o", "json")
		cmd.Dir = root
		out, err := cmd.Output()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			return err
		}
		var result struct {
			Schedules   int
			WallSeconds float64 `json:"wall_seconds"`
			Failure     *struct {
				Property   string
				SizeBefore int `json:"size_before"`
				SizeAfter  int `json:"size_after"`
			}
		}
		if err := json.Unmarshal(out, &result); err != nil {
			return fmt.Errorf("gtstore fuzz --seed %d printed no result: %w\n%s", seed, err, out)
		}
		if f := result.Failure; f != nil {
			if c.By == "" {
				c.By = f.Property
			}
			counts, seconds = append(counts, result.Schedules), append(seconds, result.WallSeconds)
			before, after = append(before, f.SizeBefore), append(after, f.SizeAfter)
		}
	}
	if c.Found = len(counts); c.Found > 0 {
		c.Schedules, c.Seconds, c.Before, c.After = Median(counts), Median(seconds), Median(before), Median(after)
	}
	return nil
}

// Median is the number in the middle, the lower of two. It sorts the list, which must not
// be empty.
func Median[T int | float64](list []T) T {
	slices.Sort(list)
	return list[(len(list)-1)/2]
}

// exhibited names a trace of the gallery that breaks the mutant; "" for none.
func (m *Mutant) exhibited(root, binary string) (string, error) {
	list, err := Gallery(root)
	if err != nil {
		return "", err
	}
	for _, e := range list {
		if e.Mutant != m {
			continue
		}
		property, err := replay(root, e.File, binary, "replay", "-o", "json")
		if err != nil {
			return "", err
		}
		if property == e.Property {
			return "gallery/" + strings.TrimSuffix(filepath.Base(e.File), ".trace"), nil
		}
	}
	return "", nil
}

// drawn are, by package, the tests that draw what happens, and know no mutant.
var drawn = map[string][]string{
	"core": {
		"TestADirectoryKeepsItsRulesUnderAnyCommands",
		"TestAManagerConcludesWhatItHeard",
		"TestAManagerThatStartsAgain",
		"TestAPrimaryReportsWhoOwesItAnswers",
		"TestAStorageNodeDoesAsTheModelSays",
		"TestAJoinEndsUnderAnyLoad",
		"TestAClientKeepsItsRules",
		"TestAManagerSaysWhatItsOfficeAllows",
		"TestOfTheStartsOfANodeOneIsKnown",
		"TestWhoLooksForTheLeaderTriesAll",
		"TestHostileMessagesHarmNobody",
		"TestNobodyHarmsWhatItsRoleMayNot",
	},
	"core/quorum": {
		"TestAnEmptyManagerConcludesWhatIsSaid",
		"TestALeaderIsFollowedSoonAndDeposedByNobody",
		"TestAGroupAgreesUnderEveryFault",
		"TestOneClusterIsFounded",
		"TestHostileMessagesEndNobody",
	},
}

// Drawn names a test of the mutant's package that draws what happens, and that fails with the
// mutant; "" for none.
func (m *Mutant) Drawn(root, dir string) (string, error) {
	tests, ok := drawn[filepath.Dir(m.File)]
	if !ok {
		return "", nil
	}
	return m.tested(root, dir, "-run=^("+strings.Join(tests, "|")+")$")
}

var failedTest = regexp.MustCompile(`--- FAIL: (\S+)`)

// tested names a test of the mutant's package that fails with it; "" for none. The flags are
// those of go test.
func (m *Mutant) tested(root, dir string, flags ...string) (string, error) {
	overlay, err := m.Overlay(root, dir)
	if err != nil {
		return "", err
	}
	return testOver(root, overlay, "./"+filepath.Dir(m.File), flags...)
}

// testOver runs the tests of a package over an overlay of the module's sources, and names the
// first that fails; "" for none. The flags are those of go test.
func testOver(root, overlay, pkg string, flags ...string) (string, error) {
	cmd := exec.Command("go", slices.Concat([]string{"test", "-vet=off", "-overlay", overlay, "-count=1", "-failfast"}, flags, []string{pkg})...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	switch found := failedTest.FindSubmatch(out); {
	case err == nil:
		return "", nil
	case found != nil:
		return string(found[1]), nil
	case strings.Contains(string(out), "panic: core: "):
		return "an assertion of the core", nil
	case strings.Contains(string(out), "panic: test timed out"):
		return "a test that does not end", nil
	}
	return "", fmt.Errorf("the tests of %s ended otherwise: %w\n%s", pkg, err, out)
}
