package sqlite

import (
	"fmt"
	"os"

	"github.com/dayfly-io/dayfly"
)

// hooks are what a test puts in the place of the file system.
type hooks struct {
	sync   func(*os.File) error
	kindOf func(dir string) (magic int64, name string, err error)
}

func (h hooks) orReal() hooks {
	if h.kindOf == nil {
		h.kindOf = kindOf
	}
	return h
}

// networked are the file systems on which the locks of several machines do not meet, or not in time.
var networked = map[int64]string{
	0x6969:     "NFS",
	0x517b:     "SMB",
	0xfe534d42: "SMB",
	0xff534d42: "SMB",
	0x564c:     "NCP",
	0x01021997: "9P",
	0x5346414f: "AFS",
	0x6b414653: "AFS",
	0x73757245: "Coda",
	0x00c36400: "CephFS",
	0x0bd00bd0: "Lustre",
	0x47504653: "GPFS",
	0x19830326: "FhGFS",
	0x013111a8: "IBRIX",
	0xaad7aaea: "PanFS",
	0x786f4256: "a shared folder of VirtualBox",
	0xbacbacbc: "a shared folder of VMware",
}

// overFUSE are programs that bring a file system of another machine here.
var overFUSE = map[string]string{
	"fuse.sshfs": "SSHFS", "fuse.s3fs": "S3", "fuse.rclone": "rclone", "fuse.gcsfuse": "Cloud Storage", "fuse.goofys": "S3",
	"fuse.mount-s3": "S3", "fuse.glusterfs": "GlusterFS", "fuse.ceph-fuse": "CephFS", "fuse.ceph": "CephFS", "fuse.davfs": "WebDAV",
	"fuse.gvfsd-fuse": "GVfs", "fuse.smbnetfs": "SMB", "fuse.juicefs": "JuiceFS", "fuse.vmhgfs-fuse": "a shared folder of VMware",
	"fuse.grpcfuse": "a shared folder of the host", "fuse.osxfs": "a shared folder of the host",
}

// checkFileSystem refuses a directory on a network file system.
func (h hooks) checkFileSystem(dir string) error {
	magic, name, err := h.kindOf(dir)
	if err != nil {
		return fmt.Errorf("ask what file system %s is on: %w", dir, err)
	}
	kind := networked[magic]
	if kind == "" {
		kind = overFUSE[name]
	}
	if kind == "" {
		return nil
	}
	return &dayfly.Error{
		Code:    dayfly.CodeRefused,
		Message: fmt.Sprintf("%s is on %s: two machines could write there at once, and SQLite would not notice", dir, kind),
		Hint:    "keep the data directory on a disk of this machine (--data DIR or DAYFLY_DATA)",
	}
}
