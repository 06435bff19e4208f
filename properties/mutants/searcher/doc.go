// Searcher searches for what the core violates, and prints it as JSON: scenarios of the explorer
// completely, one after the other, until one is violated; or schedules that are drawn, or that a
// search which learns varies. The hunt builds one of each mutant: a program of the simulator
// alone takes half the time that gtstore takes.
//
//	searcher explore STATES FILE...
//	searcher draw SEED SCHEDULES MANAGERS
//	searcher learn SEED SCHEDULES 0
package main
