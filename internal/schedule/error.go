package schedule

// Error is a text, a zone or an option that was refused.
type Error struct {
	// Field is what the problem lies in: minute, hour, day-of-month, month, day-of-week, year; macro, interval, at;
	// schedule when it is the text as a whole; timezone, anchor, key for what stands beside the text.
	Field string
	// Problem says what is wrong, without naming the field.
	Problem string
	// Hint says what to write instead. It may be empty.
	Hint string
	// Offset and Len are the bytes of the text as it was given, leading blanks included, that the problem lies in.
	// Both are zero when it lies beside the text; Len may be zero where something is missing.
	Offset, Len int
	// More are the problems of other fields of the same text, in their order; they have none of their own.
	More []*Error
}

// Error is the field and the problem; the hint is left to the caller, who may have a line of its own for it.
func (e *Error) Error() string { return e.Field + ": " + e.Problem }
