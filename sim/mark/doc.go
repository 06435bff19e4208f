// Package mark names the situations that a run can come to: the races that the
// protocol must survive. For each mark it has the rule or the failure that the mark
// stands for, and a sentence that says what has happened. The packages sim, network and
// check notice when a run comes to one.
package mark
