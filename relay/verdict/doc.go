// Package verdict is what a provider says when it does not take the credentials of a port: made fit for people who have to
// find out why, and without the credentials.
//
// A Verdict collects it, from a response head and what comes behind (verdict.go). Redact takes credentials out of a text,
// however they are written in it (redact.go): a provider may repeat what it was sent.
//
// It imports httpparse beside the standard library, and is pure. It never reads, logs, or decides what a refusal is.
package verdict
