package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// An image is what a power cut at one moment left. What had been synced by then is there. Of the rest,
// which had been asked for, anything may be missing, in any order, and of a write any sectors: POSIX
// promises no more, and some file systems keep no more.

const sector = 512

// fate decides for what was not synced whether it survived, and which sectors of it.
type fate struct {
	name  string
	keeps func(rng *rand.Rand, e entry, latest int) bool
	tears bool // each sector has a fate of its own
}

// fates are drawn evenly. What a drive or a file system really does lies among them.
var fates = []fate{
	{name: "nothing unsynced survives", keeps: func(*rand.Rand, entry, int) bool { return false }},
	{name: "all survives", keeps: func(*rand.Rand, entry, int) bool { return true }},
	{name: "any part survives", keeps: func(rng *rand.Rand, _ entry, _ int) bool { return rng.IntN(2) == 0 }},
	{name: "any sectors survive", keeps: func(*rand.Rand, entry, int) bool { return true }, tears: true},
	{name: "the last survives, what was before it does not", keeps: func(rng *rand.Rand, e entry, latest int) bool { return e.at > latest-rng.IntN(20) }},
	{name: "names survive, content does not", keeps: func(_ *rand.Rand, e entry, _ int) bool { return e.inDirectory() }},
	{name: "content survives, names do not", keeps: func(_ *rand.Rand, e entry, _ int) bool { return !e.inDirectory() }},
	{name: "torn sectors, and few names", keeps: func(rng *rand.Rand, e entry, _ int) bool { return !e.inDirectory() || rng.IntN(4) == 0 }, tears: true},
}

// image is the content of the disk after a power cut.
type image struct {
	files map[int][]byte
	dirs  map[int]map[string]int
}

// cut gives the image of a power cut at a moment: before any call that begins at it or later.
func (d *disklog) cut(moment int, f fate, rng *rand.Rand) image {
	synced := d.synced(moment)
	img := image{files: map[int][]byte{}, dirs: map[int]map[string]int{}}
	together := map[int]bool{} // what was decided for a group
	for _, e := range d.log {
		if e.at >= moment {
			break
		}
		certain := e.at < synced[e.node]
		kept := certain
		if !certain {
			decided, known := together[e.group]
			kept = decided
			if e.group == 0 || !known {
				kept = f.keeps(rng, e, moment)
				together[e.group] = kept
			}
		}
		if kept {
			img.apply(e, !certain && f.tears, rng)
		}
	}
	return img
}

// synced tells of each node up to when what was asked for is certain to be kept.
func (d *disklog) synced(moment int) map[int]int {
	synced := map[int]int{}
	for _, s := range d.syncs {
		if s.done < moment {
			synced[s.node] = max(synced[s.node], s.at)
		}
	}
	return synced
}

func (img image) apply(e entry, torn bool, rng *rand.Rand) {
	switch {
	case e.inDirectory():
		if img.dirs[e.node] == nil {
			img.dirs[e.node] = map[string]int{}
		}
		img.dirs[e.node][e.name] = e.child
	case e.data == nil:
		img.files[e.node] = resized(img.files[e.node], e.offset)
	default:
		img.write(e, torn, rng)
	}
}

// write writes the data, or those of its sectors that survived.
func (img image) write(e entry, torn bool, rng *rand.Rand) {
	end := e.offset + int64(len(e.data))
	content := img.files[e.node]
	for at := e.offset; at < end; {
		next := min(end, (at/sector+1)*sector)
		if !torn || rng.IntN(2) == 0 {
			if int64(len(content)) < next {
				content = resized(content, next)
			}
			copy(content[at:next], e.data[at-e.offset:next-e.offset])
		}
		at = next
	}
	if torn && int64(len(content)) < end && rng.IntN(2) == 0 {
		content = resized(content, end) // the new length is known, and what lies there is not
	}
	img.files[e.node] = content
}

func resized(b []byte, size int64) []byte {
	if int64(len(b)) >= size {
		return b[:size:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

// lay writes the image into a directory.
func (d *disklog) lay(img image, dir string) error { return d.layNode(img, 0, dir) }

func (d *disklog) layNode(img image, n int, path string) error {
	if !d.nodes[n].dir {
		return os.WriteFile(path, img.files[n], d.nodes[n].perm)
	}
	if err := os.MkdirAll(path, d.nodes[n].perm|0o700); err != nil {
		return err
	}
	for name, child := range img.dirs[n] {
		if child < 0 {
			continue
		}
		if err := d.layNode(img, child, filepath.Join(path, name)); err != nil {
			return fmt.Errorf("lay %s: %w", name, err)
		}
	}
	return nil
}
