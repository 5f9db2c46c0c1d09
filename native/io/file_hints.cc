#include "io/file_hints.h"

#include <linux/fs.h>
#include <sys/ioctl.h>

namespace basecow {

void HintNewFile(int fd, bool no_copy_on_write, uint32_t extent_size) {
  if (no_copy_on_write) {
    // The kernel reads and writes an int, whatever the ioctl's number says.
    int flags = 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
      flags |= FS_NOCOW_FL;
      static_cast<void>(ioctl(fd, FS_IOC_SETFLAGS, &flags));
    }
  }
  if (extent_size > 0) {
    struct fsxattr attributes = {};
    if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) == 0) {
      attributes.fsx_xflags |= FS_XFLAG_EXTSIZE;
      attributes.fsx_extsize = extent_size;
      static_cast<void>(ioctl(fd, FS_IOC_FSSETXATTR, &attributes));
    }
  }
}

}  // namespace basecow
