// Package schema is the table of the settings' keys: for each its name, what its value may be, its default, and a sentence
// for people. What reads settings takes ranges and names from it, and JSON makes a JSON Schema of it for editors.
//
// It may import relay and session, for their bounds and defaults. It never reads settings itself.
package schema
