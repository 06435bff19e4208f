package main

import (
	"fmt"
	"os"
	"gtstore/properties/mutants"
)

func main() {
	for _, n := range os.Args[2:] {
		m := mutants.Find(n)
		f, err := m.Overlay(".", os.Args[1])
		fmt.Println(f, err)
	}
}
