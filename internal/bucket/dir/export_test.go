package dir

import "os"

// OpenSync is Open with something in the place of fsync, for tests of power cuts and failing disks.
func OpenSync(dir string, sync func(*os.File) error) (*Bucket, error) { return open(dir, sync) }

// Staging is the folder of what is in progress.
const Staging = staging
