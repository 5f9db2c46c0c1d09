// Files that appear under their name only when they are whole.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "io/status.h"
#include "io/write_pieces.h"
#include "transfer/control.h"

namespace basecow {

struct PublishRequest {
  std::string path;
  /// Permission bits; the umask applies, as in open(2).
  mode_t mode = 0666;
  /// Bytes the file has in the end; what no piece covers is a hole.
  uint64_t length = 0;
  std::vector<Piece> pieces;
  /// Take the place of a file of that name (rename), or fail with EEXIST.
  bool replace = false;
  /// One fdatasync before the name appears. Ignored with group sync.
  bool sync = false;
};

/// Publishes all of them; `(*outcomes)[i]` is the fate of `requests[i]`, and of one that failed nothing is
/// left under any name. `control` is looked at between files: those not published by then have ECANCELED.
///
/// A file is made without a name (O_TMPFILE) and linked in, so that even kill -9 leaves nothing; where the
/// filesystem cannot do that, or to take the place of another, it is for a moment `.NAME.XXXXXX.basecow-tmp`
/// in the same folder.
///
/// `group_sync`: all files are written, each filesystem is synced once (syncfs), then all are named. A group
/// is as large as half of the process's limit of open files allows.
void PublishFiles(const std::vector<PublishRequest>& requests, bool group_sync, const Control& control,
                  std::vector<Status>* outcomes);

/// Gives a file without a name (O_TMPFILE) one; EEXIST when it is taken.
Status LinkFd(int fd, const std::string& path);

/// syncfs(2): everything of the filesystem that `fd` is on.
Status SyncFilesystem(int fd, std::string_view path);

}  // namespace basecow
