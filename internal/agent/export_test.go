package agent

// Take is how the output of a job is read.
var Take = take
