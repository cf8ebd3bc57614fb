//go:build linux

package main

func (o *options) countSyscalls(string) error { return nil }
