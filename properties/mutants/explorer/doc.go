// Explorer searches scenarios completely, one after the other, until one is violated, and
// prints as JSON what that was. The hunt builds one of each mutant.
package main
