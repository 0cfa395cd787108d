package dayfly

import "errors"

// Code says what kind of error it is, for exit codes, HTTP statuses and programs.
type Code string

// The codes. An error without a code is CodeInternal.
const (
	CodeInternal Code = "internal"
	CodeInvalid  Code = "invalid"   // what was given cannot be right: usage, a job file
	CodeNotFound Code = "not_found" // no such job, run or machine
	CodeRefused  Code = "refused"   // understood, and not done
	CodeConflict Code = "conflict"  // somebody else was there first
	CodeBusy     Code = "busy"      // try again later
)

// Error is an error as a person sees it at the edge: what was attempted and why it did not work, and the next step.
type Error struct {
	Code    Code
	Message string
	Hint    string // the next step; may be empty
	Err     error  // the cause, for the log; may be nil
}

func (e *Error) Error() string { return e.Message }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrorCode is the code of the first Error in the chain, or CodeInternal; "" for nil.
func ErrorCode(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// ErrorHint is the next step that the first Error in the chain names.
func ErrorHint(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Hint
	}
	return ""
}
