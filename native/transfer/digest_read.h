// Ways to the bytes of a data row that are cheaper or gentler than read(): past the page cache. What they
// cannot do the Reader does, which also knows every error's sentence.
#pragma once

#include "transfer/control.h"
#include "transfer/plan.h"
#include "transfer/reader.h"

namespace basecow {

/// Guest [from, to) of a data row into `out`, past the page cache, when the file is open for that and places
/// and memory are aligned; `out` has room up to the next multiple of kDirectAlignment. False = nothing is
/// read.
bool ReadDirect(const Control& control, const Source& source, const Row& row, uint64_t from, uint64_t to,
                uint8_t* out);

/// As ReadDirect for any place: `buffer` is aligned and holds `to - from` and twice kDirectAlignment. nullptr
/// = nothing is read, else where the bytes are in it.
const uint8_t* ReadDirectInto(const Control& control, const Source& source, const Row& row, uint64_t from,
                              uint64_t to, uint8_t* buffer);

/// As Reader::Fill, past the page cache where a file is open for that; `bounce` is made when it is needed.
Status FillDirect(const Control& control, Reader& reader, const Source& source, size_t first, uint64_t start,
                  uint64_t end, uint8_t* out, Task& task, AlignedBuffer* bounce);

/// Starts reading [offset, offset + length) into the page cache, unless its ends are there already.
void ReadAhead(int fd, uint64_t offset, uint64_t length);

}  // namespace basecow
