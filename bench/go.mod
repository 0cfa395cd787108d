module github.com/dayfly-io/dayfly/bench

go 1.26.5

require (
	github.com/adhocore/gronx v1.20.4
	github.com/aptible/supercronic v0.2.48
	github.com/dayfly-io/dayfly v0.0.0
)

replace github.com/dayfly-io/dayfly => ../
