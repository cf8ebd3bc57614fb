// Package refusal is what the relay answers when it does not do what a client asked for: values, and one table of all of
// them.
//
// A Refusal is a Code, whom it is about, and perhaps a cause. The table says for each code what clients are told in the
// protocol that they speak: status, class, further fields and text in HTTP, a reply code in SOCKS. Text is made in one
// place, Refusal.Text. What an operator could change about it, a remedy, comes from outside, by code: nothing here knows
// the names of settings.
//
// It imports relay/socks beside the standard library, and is pure. It never writes to a connection, counts or logs.
package refusal
