package sqlite

// MountType is how the kind of a FUSE file system is found.
func MountType(mounts []byte, major, minor uint32) string { return mountType(mounts, major, minor) }
