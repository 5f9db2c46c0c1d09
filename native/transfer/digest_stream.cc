#include "transfer/digest_stream.h"

#include <algorithm>

#include "transfer/zeros.h"

namespace basecow {

DigestStream::DigestStream(std::string algorithm, uint64_t chunk_size, const Md5Kernels& md5)
    : algorithm_(std::move(algorithm)),
      chunk_size_(chunk_size),
      is_md5_(algorithm_ == "md5"),
      md5_(md5),
      pair_(md5) {}

Status DigestStream::Open() {
  if (is_md5_) return Status::Ok();
  BASECOW_TRY(whole_.Start(algorithm_));
  return chunk_size_ == 0 ? Status::Ok() : chunk_.Start(algorithm_);
}

Status DigestStream::Whole(const uint8_t* data, size_t length) {
  if (!is_md5_) return whole_.Update(data, length);
  if (chunk_size_ != 0) {
    pair_.Update(data, length);
  } else {
    md5_.Update(data, length);
  }
  return Status::Ok();
}

Status DigestStream::Data(const uint8_t* data, uint64_t length, std::vector<uint8_t>* chunks) {
  if (chunk_size_ == 0) return Whole(data, length);
  while (length > 0) {
    const auto step = static_cast<size_t>(std::min(length, chunk_size_ - chunk_bytes_));
    if (!is_md5_) {
      BASECOW_TRY(CatchUp());
      BASECOW_TRY(chunk_.Update(data, step));
    }
    BASECOW_TRY(Whole(data, step));
    data += step;
    length -= step;
    chunk_bytes_ += step;
    if (chunk_bytes_ == chunk_size_) BASECOW_TRY(EndChunk(chunks));
  }
  return Status::Ok();
}

Status DigestStream::Zeros(uint64_t length, std::vector<uint8_t>* chunks) {
  while (length > 0) {
    auto step = static_cast<size_t>(std::min<uint64_t>(length, kZeroBlock));
    if (chunk_size_ != 0) step = static_cast<size_t>(std::min<uint64_t>(step, chunk_size_ - chunk_bytes_));
    BASECOW_TRY(Whole(kZeros, step));
    length -= step;
    if (chunk_size_ == 0) continue;
    if (!is_md5_) {
      // A chunk that turns out to be nothing but zeros has a digest that is known already.
      if (owed_zeros_ == chunk_bytes_) {
        owed_zeros_ += step;
      } else {
        BASECOW_TRY(chunk_.Update(kZeros, step));
      }
    }
    chunk_bytes_ += step;
    if (chunk_bytes_ == chunk_size_) BASECOW_TRY(EndChunk(chunks));
  }
  return Status::Ok();
}

Status DigestStream::CatchUp() {
  // Once the chunk holds data, owed_zeros_ stays 0 and differs from chunk_bytes_.
  while (owed_zeros_ > 0) {
    const auto step = static_cast<size_t>(std::min<uint64_t>(owed_zeros_, kZeroBlock));
    BASECOW_TRY(chunk_.Update(kZeros, step));
    owed_zeros_ -= step;
  }
  return Status::Ok();
}

Status DigestStream::EndChunk(std::vector<uint8_t>* chunks) {
  const uint64_t length = chunk_bytes_;
  chunk_bytes_ = 0;
  if (is_md5_) {
    uint8_t digest[kMd5Bytes];
    pair_.FinalSecond(digest);
    chunks->insert(chunks->end(), digest, digest + kMd5Bytes);
    return Status::Ok();
  }
  if (owed_zeros_ == length) return ZeroChunk(length, chunks);
  uint8_t digest[kShaMaxBytes];
  BASECOW_TRY(chunk_.Final(digest));
  chunks->insert(chunks->end(), digest, digest + chunk_.size());
  return chunk_.Start(algorithm_);
}

Status DigestStream::ZeroChunk(uint64_t length, std::vector<uint8_t>* chunks) {
  if (zero_length_ != length) {
    BASECOW_TRY(CatchUp());
    zero_digest_.resize(chunk_.size());
    BASECOW_TRY(chunk_.Final(zero_digest_.data()));
    BASECOW_TRY(chunk_.Start(algorithm_));
    zero_length_ = length;
  }
  owed_zeros_ = 0;
  chunks->insert(chunks->end(), zero_digest_.begin(), zero_digest_.end());
  return Status::Ok();
}

Status DigestStream::Finish(std::vector<uint8_t>* chunks, std::vector<uint8_t>* digest) {
  if (chunk_bytes_ > 0) BASECOW_TRY(EndChunk(chunks));
  if (is_md5_) {
    digest->resize(kMd5Bytes);
    if (chunk_size_ != 0) {
      pair_.FinalFirst(digest->data());
    } else {
      md5_.Final(digest->data());
    }
    return Status::Ok();
  }
  digest->resize(whole_.size());
  return whole_.Final(digest->data());
}

}  // namespace basecow
