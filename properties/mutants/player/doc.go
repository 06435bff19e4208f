// Player runs a trace, and prints as JSON what it violates. The gallery's tests build one of
// each mutant: a program of the simulator alone takes half the time that gtstore takes.
package main
