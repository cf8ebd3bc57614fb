// Package layer puts settings together that come from several places, as .NET's configuration does: files, variables of
// the environment, flags, each over those before it. Parse reads a file's text, Of makes a layer of single settings, Merge
// lays one over another, and each value of the result knows its Origin.
//
// Objects merge by key and lists by index. It knows no key of the settings but those of secrets, which merge whole.
//
// It may import hujson for the text. It never reads a file or the environment: texts and variables are handed in.
package layer
