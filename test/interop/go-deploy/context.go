// What a builder sends of a folder: everything that .dockerignore does not leave out.
package main

import (
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

func buildContext(root string) (any, error) {
	file, err := os.Open(filepath.Join(root, ".dockerignore"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		return nil, err
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, err
	}
	files := []string{}
	walk := func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil || name == "." {
			return err
		}
		// Too large to look through, and of no use in a build.
		if entry.IsDir() && (name == ".git" || name == ".cache" || filepath.Base(name) == "target") {
			return filepath.SkipDir
		}
		if entry.IsDir() {
			return nil
		}
		isIgnored, err := matcher.MatchesOrParentMatches(name)
		if err == nil && !isIgnored {
			files = append(files, name)
		}
		return err
	}
	return files, filepath.WalkDir(root, walk)
}
