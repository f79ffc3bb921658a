#include "base/buffer.h"

#include <algorithm>
#include <utility>

namespace gyre {
namespace {

constexpr std::size_t kCapacityMin = 1024;

}  // namespace

void Buffer::Release() {
  data_.reset();
  begin_ = end_ = capacity_ = 0;
}

void Buffer::MakeRoom(std::size_t bytes) {
  // Sliding the readable bytes to the front costs at most one move per byte consumed, as long as at
  // least half of the block was consumed.
  if (data_ != nullptr && begin_ >= capacity_ / 2 && capacity_ - size() >= bytes) {
    std::memmove(data_.get(), data(), size());
    end_ -= begin_;
    begin_ = 0;
    return;
  }
  const std::size_t capacity = std::max({kCapacityMin, 2 * capacity_, size() + bytes});
  std::unique_ptr<char[]> grown(new char[capacity]);
  if (!empty()) std::memcpy(grown.get(), data(), size());
  end_ -= begin_;
  begin_ = 0;
  data_ = std::move(grown);
  capacity_ = capacity;
}

}  // namespace gyre
