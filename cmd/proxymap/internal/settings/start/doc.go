// Package start lets proxymap start without a settings file. It turns the flags of the command line and the variables
// PROXYMAP_… into settings, and writes the settings file that would say the same.
//
// Read takes what was given, a flag before its variable. Form.Settings are the settings that it stands for, in the short form
// of the file, each with its origin; what only the settings know to be wrong is told by them. Form.File is the file.
//
// It may import the settings' layers and serverlist, and no parser of command lines: flags come in as plain text. It never
// reads a file or the environment, and never shows a user name or a password.
package start
