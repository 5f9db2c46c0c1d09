#include "transfer/digest_stream.h"

#include <algorithm>
#include <cstring>

#include "transfer/zeros.h"

namespace basecow {

namespace {

/// Zeros digested between two looks at the cancel flag, and the longest chunk that is digested in one go.
constexpr uint64_t kZeroStep = 1U << 20;
constexpr uint64_t kZeroChunk = 4U << 20;

}  // namespace

DigestStream::DigestStream(std::string algorithm, bool whole, const UnitMap* chunks, const Md5Kernels& md5)
    : algorithm_(std::move(algorithm)),
      wants_whole_(whole),
      chunks_(chunks),
      md5_(md5),
      is_md5_(algorithm_ == "md5"),
      whole_(md5),
      chunk_(md5) {}

Status DigestStream::Open() {
  BASECOW_TRY(whole_.Start(algorithm_));
  return chunk_.Start(algorithm_);
}

Status DigestStream::Data(const Batch& batch, const uint8_t* data, size_t length) {
  if (chunks_ == nullptr) {
    BASECOW_TRY(whole_.Update(data, length));
  } else {
    CutPieces(batch, data, length);
    BASECOW_TRY(is_md5_ ? FeedMd5(batch, data, length) : FeedChunks(batch));
  }
  position_ += length;
  return Status::Ok();
}

Status DigestStream::Zeros(const Batch& batch, uint64_t run, uint64_t* done) {
  *done = 0;
  while (*done < run && *done < kZeroStep) {
    auto length = static_cast<size_t>(std::min<uint64_t>(run - *done, kZeroBlock));
    if (chunks_ != nullptr && !wants_whole_) {
      const Unit unit = chunks_->At(batch, chunks_->After(batch, position_));
      if (position_ == unit.start && unit.length() <= run - *done && unit.length() <= kZeroChunk) {
        BASECOW_TRY(ZeroChunk(batch, unit));
        position_ = unit.end;
        *done += unit.length();
        continue;
      }
    }
    BASECOW_TRY(Data(batch, kZeros, length));
    *done += length;
  }
  return Status::Ok();
}

Status DigestStream::ZeroChunk(const Batch& batch, const Unit& unit) {
  uint8_t* const place = chunks_->Place(batch, unit);
  if (zeros_.Find(unit.length(), place, chunks_->width())) return Status::Ok();
  for (uint64_t left = unit.length(); left > 0;) {
    const auto step = static_cast<size_t>(std::min<uint64_t>(left, kZeroBlock));
    BASECOW_TRY(chunk_.Update(kZeros, step));
    left -= step;
  }
  BASECOW_TRY(chunk_.Final(place));
  zeros_.Put(unit.length(), place, chunks_->width());
  return chunk_.Start(algorithm_);
}

void DigestStream::CutPieces(const Batch& batch, const uint8_t* data, size_t length) {
  pieces_.clear();
  size_t index = chunks_->After(batch, position_);
  for (size_t at = 0; at < length; index++) {
    const Unit unit = chunks_->At(batch, index);
    const auto take = static_cast<size_t>(std::min<uint64_t>(length - at, unit.end - position_ - at));
    pieces_.push_back({data + at, take, unit, position_ + at + take == unit.end});
    at += take;
  }
}

Status DigestStream::FeedMd5(const Batch& batch, const uint8_t* data, size_t length) {
  if (inner_.size() < pieces_.size()) inner_.resize(pieces_.size(), Md5(md5_));
  feeds_.clear();
  ended_.clear();
  if (wants_whole_) feeds_.push_back({whole_.md5(), data, length});
  for (size_t i = 0; i < pieces_.size(); i++) {
    Md5* const stream = i == 0 ? chunk_.md5() : &inner_[i];
    feeds_.push_back({stream, pieces_[i].data, pieces_[i].length});
    if (pieces_[i].last) ended_.push_back(stream);
  }
  Md5UpdateMany(feeds_.data(), feeds_.size());
  // Chunks end in order, so what has ended comes first; the digests of a batch lie one after another.
  if (!ended_.empty()) {
    auto* const place = reinterpret_cast<uint8_t(*)[kMd5Bytes]>(chunks_->Place(batch, pieces_[0].unit));
    Md5FinalMany(ended_.data(), ended_.size(), place);
  }
  if (pieces_.size() > 1 && !pieces_.back().last) {
    Md5& open = inner_[pieces_.size() - 1];
    *chunk_.md5() = open;
    open.Reset();
  }
  return Status::Ok();
}

Status DigestStream::FeedChunks(const Batch& batch) {
  for (const Piece& piece : pieces_) {
    BASECOW_TRY(chunk_.Update(piece.data, piece.length));
    if (!piece.last) continue;
    BASECOW_TRY(chunk_.Final(chunks_->Place(batch, piece.unit)));
    BASECOW_TRY(chunk_.Start(algorithm_));
  }
  return Status::Ok();
}

Status DigestStream::Finish(std::vector<uint8_t>* digest) {
  digest->resize(DigestSize(algorithm_));
  return whole_.Final(digest->data());
}

}  // namespace basecow
