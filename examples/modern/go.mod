module github.com/example/href-counter

go 1.23.0

require golang.org/x/net v0.34.0
