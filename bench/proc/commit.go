//go:build linux

package proc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Checkout puts the files of a commit of this folder's repository into a new folder, a worktree of git's. The caller
// calls remove when it has no more use for it.
func Checkout(commit string) (dir string, remove func(), err error) {
	parent, err := os.MkdirTemp("", "commit")
	if err != nil {
		return "", nil, err
	}
	dir = filepath.Join(parent, "tree")
	remove = func() {
		_ = git("worktree", "remove", "--force", dir) // there may be none
		_ = os.RemoveAll(parent)
	}
	if err := git("worktree", "add", "--quiet", "--detach", dir, commit); err != nil {
		remove()
		return "", nil, fmt.Errorf("commit %q cannot be checked out: %w", commit, err)
	}
	return dir, remove, nil
}

func git(args ...string) error {
	out, err := exec.Command("git", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Name is the short name of a commit of this folder's repository. That of the empty one is HEAD's, with a note if files
// differ from it.
func Name(commit string) (string, error) {
	of := commit
	if of == "" {
		of = "HEAD"
	}
	out, err := exec.Command("git", "rev-parse", "--verify", "--short", of+"^{commit}").Output()
	if err != nil {
		return "", fmt.Errorf("%q is no commit of this repository", of)
	}
	name := strings.TrimSpace(string(out))
	if commit == "" && git("diff", "--quiet", "HEAD") != nil {
		name += " with changes"
	}
	return name, nil
}
