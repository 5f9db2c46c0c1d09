// Reads guest bytes where the rows of a plan say they are. One per thread.
#pragma once

#include <cstdint>
#include <vector>

#include "codec/inflate.h"
#include "codec/zstd.h"
#include "crypt/cipher_cache.h"
#include "io/file_io.h"
#include "transfer/batch.h"
#include "transfer/control.h"
#include "transfer/plan.h"

namespace basecow {

struct ReadOptions {
  /// Bytes past the end of a source file are zeros instead of an error.
  bool short_reads_zero = false;
  /// What cannot be read becomes zeros and is noted in the task.
  bool salvage = false;
  bool drop_cache = false;
};

class Reader {
 public:
  Reader(const ReadOptions& options, const Control& control) : options_(options), control_(control) {}

  /// Guest bytes [from, to), which lie inside source.rows[index], a row that does not read as zeros.
  Status Read(const Source& source, size_t index, uint64_t from, uint64_t to, uint8_t* out, Task& task);

  /// [start, end) from source.rows[first] on; zeros and gaps are filled in.
  Status Fill(const Source& source, size_t first, uint64_t start, uint64_t end, uint8_t* out, Task& task);

 private:
  Status ReadData(const SourceFile& file, const Row& row, uint64_t from, uint64_t to, uint8_t* out,
                  Task& task);
  Status ReadUnit(const Source& source, size_t index, uint64_t from, uint64_t to, uint8_t* out, Task& task);
  /// One try at `length` bytes.
  Status ReadPiece(const SourceFile& file, uint64_t guest, uint64_t host, size_t length, uint8_t* out);
  /// As they are stored.
  Status ReadStored(const SourceFile& file, uint64_t guest, uint64_t host, size_t length, uint8_t* out);
  /// Decrypted; places need not be those of sectors.
  Status ReadSealed(const SourceFile& file, uint64_t guest, uint64_t host, size_t length, uint8_t* out);
  /// Halves the range down to sectors; sectors that fail are zeroed and noted.
  Status Salvage(const SourceFile& file, uint64_t guest, uint64_t host, size_t length, uint8_t* out,
                 Task& task);
  /// Compressed bytes of the row; reads those of the rows behind it too when they follow in the file.
  Status Compressed(const Source& source, size_t index, uint64_t guest, const uint8_t** data, size_t* length);
  Status Decode(const SourceFile& file, const Row& row, uint64_t guest, const uint8_t* data, size_t length,
                uint8_t* out);
  static void Note(Task& task, uint64_t guest, uint64_t length, const Status& why);

  ReadOptions options_;
  Control control_;
  Inflater inflater_;
  ZstdDecoder zstd_;
  CipherCache ciphers_;
  /// What is kept below was read for this batch; descriptors may mean other files in the next.
  uint64_t batch_ = 0;

  /// Compressed bytes [input_offset_, + input_length_) of input_fd_.
  AlignedBuffer input_;
  int input_fd_ = -1;
  uint64_t input_offset_ = 0;
  size_t input_length_ = 0;

  /// The unit inflated last, for rows that take only a part of one.
  AlignedBuffer unit_;
  Row unit_row_{};
  int unit_fd_ = -1;
};

}  // namespace basecow
