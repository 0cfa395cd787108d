package redact

// FormsOf lets the tests compare the stream with a search that knows nothing of streams.
func FormsOf(value string) []string { return formsOf(value) }
