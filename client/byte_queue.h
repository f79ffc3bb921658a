// Bytes appended at the end and consumed at the front of one contiguous block. Memory is kept while
// it is in use, so that the steady state does not allocate, and given back after a burst. Not
// thread-safe.
//
// Invariant: begin_ <= end_ <= capacity_.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace gyre::client {

class ByteQueue {
 public:
  // More than this is not kept once the queue is empty.
  static constexpr std::size_t kKeepBytesMax = std::size_t{1} << 20;

  std::size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }
  const char* data() const { return data_.get() + begin_; }
  char* mutable_data() { return data_.get() + begin_; }
  std::string_view view() const { return {data(), size()}; }

  void Append(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(Prepare(bytes.size()), bytes.data(), bytes.size());
    Commit(bytes.size());
  }
  // Room for at least `bytes` more, valid until the next call but Commit.
  char* Prepare(std::size_t bytes) {
    if (capacity_ - end_ < bytes) MakeRoom(bytes);
    return data_.get() + end_;
  }
  std::size_t writable() const { return capacity_ - end_; }
  void Commit(std::size_t bytes) {
    assert(bytes <= capacity_ - end_);
    end_ += bytes;
  }
  void Consume(std::size_t bytes) {
    assert(bytes <= size());
    begin_ += bytes;
    if (begin_ == end_) Clear();
  }
  void Clear() {
    begin_ = end_ = 0;
    if (capacity_ > kKeepBytesMax) {
      data_.reset();
      capacity_ = 0;
    }
  }

  friend void swap(ByteQueue& a, ByteQueue& b) noexcept {
    std::swap(a.data_, b.data_);
    std::swap(a.begin_, b.begin_);
    std::swap(a.end_, b.end_);
    std::swap(a.capacity_, b.capacity_);
  }

 private:
  static constexpr std::size_t kFirstBytes = 4096;

  void MakeRoom(std::size_t bytes) {
    const std::size_t used = size();
    // Moving to the front is enough, and its cost is bounded by what was consumed, if half is free.
    if (begin_ >= used && capacity_ - used >= bytes) {
      std::memmove(data_.get(), data(), used);
    } else {
      const std::size_t capacity = std::max({kFirstBytes, capacity_ * 2, used + bytes});
      std::unique_ptr<char[]> grown(new char[capacity]);
      if (used > 0) std::memcpy(grown.get(), data(), used);
      data_ = std::move(grown);
      capacity_ = capacity;
    }
    begin_ = 0;
    end_ = used;
  }

  std::unique_ptr<char[]> data_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace gyre::client
