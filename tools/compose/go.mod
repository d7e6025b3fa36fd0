// Docker Compose as a program built from source, for the tests and benchmarks
// that compare tend with it.
module github.com/tendhq/tend/tools/compose

go 1.26.0
