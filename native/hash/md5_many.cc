#include "hash/md5_many.h"

namespace basecow {

void Md5UpdateMany(const Md5Feed* feeds, size_t count) {
  for (size_t i = 0; i < count; i++) feeds[i].stream->Update(feeds[i].data, feeds[i].length);
}

}  // namespace basecow
