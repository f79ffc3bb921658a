#include "storage/record.h"

#include <algorithm>
#include <cassert>

namespace gyre {

void RecordView::AppendValueTo(Buffer& out) const {
  const std::size_t bytes = value_bytes();
  char* to = out.Prepare(bytes);
  ForEachChunk([&to](std::string_view piece) {
    std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
  });
  out.Commit(bytes);
}

void RecordView::CopyValue(std::size_t offset, std::size_t size, char* out) const {
  assert(offset + size <= value_bytes());
  ForEachChunk([&](std::string_view piece) {
    const std::size_t skipped = std::min(offset, piece.size());
    const std::size_t taken = std::min(size, piece.size() - skipped);
    if (taken > 0) std::memcpy(out, piece.data() + skipped, taken);
    offset -= skipped;
    size -= taken;
    out += taken;
  });
}

}  // namespace gyre
