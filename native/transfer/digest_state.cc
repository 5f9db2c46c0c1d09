#include "transfer/digest_state.h"

namespace basecow {

size_t DigestSize(std::string_view algorithm) {
  return algorithm == "md5" ? kMd5Bytes : ShaSize(algorithm);
}

Status DigestState::Start(const std::string& algorithm) {
  is_md5_ = algorithm == "md5";
  if (!is_md5_) return sha_.Start(algorithm);
  md5_.Reset();
  return Status::Ok();
}

Status DigestState::Update(const uint8_t* data, size_t length) {
  if (!is_md5_) return sha_.Update(data, length);
  md5_.Update(data, length);
  return Status::Ok();
}

Status DigestState::Final(uint8_t* digest) {
  if (!is_md5_) return sha_.Final(digest);
  md5_.Final(digest);
  return Status::Ok();
}

Status DigestState::CopyFrom(const DigestState& other) {
  is_md5_ = other.is_md5_;
  if (!is_md5_) return sha_.CopyFrom(other.sha_);
  md5_ = other.md5_;
  return Status::Ok();
}

}  // namespace basecow
