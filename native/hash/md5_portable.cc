// MD5 in general registers, for every processor.
#include "hash/md5_runs.h"
#include "hash/md5_scalar.h"

namespace basecow::md5 {

void Portable1(uint32_t state[4], const uint8_t* data, size_t blocks) {
  Compress<1, OrNot>(&state, &data, blocks);
}

void Portable2(uint32_t* const* states, const uint8_t* const* data, size_t blocks) {
  Compress<2, OrNot>(states, data, blocks);
}

void Portable3(uint32_t* const* states, const uint8_t* const* data, size_t blocks) {
  Compress<3, OrNot>(states, data, blocks);
}

}  // namespace basecow::md5
