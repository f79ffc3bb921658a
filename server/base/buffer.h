// A byte queue in one contiguous block: bytes are appended at the end and consumed at the front.
//
//   data_        begin_            end_           capacity_
//    | consumed   | readable        | writable       |
//
// Invariant: begin_ <= end_ <= capacity_. Memory is kept when the buffer empties, so that the
// steady state does not allocate; `Release` gives it back (an idle connection holds none). Not
// thread-safe.
//
// A buffer that fills because of what clients send or do not read has an account
// (client_memory.h), which its block is charged to before it grows.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "base/client_memory.h"

namespace gyre {

class Buffer {
 public:
  // What to reserve next for something large that was announced, of which `have` bytes are here and
  // `missing` are not: at first a megabyte at most, then steps that quadruple what is here. Many who
  // only announce must not get the memory for it.
  static std::size_t Step(std::size_t have, std::size_t missing) {
    constexpr std::size_t kFirst = 1024 * 1024;
    return std::min(missing, std::max(3 * have, kFirst));
  }

  Buffer() = default;
  // Null: charged to nobody. The account outlives the buffer.
  explicit Buffer(ClientMemoryAccount* account) : account_(account) {}
  ~Buffer() { Release(); }
  // The block goes over with its account.
  Buffer(Buffer&& other) noexcept
      : account_(other.account_),
        data_(std::move(other.data_)),
        begin_(std::exchange(other.begin_, 0)),
        end_(std::exchange(other.end_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    if (data_ != nullptr) Release();
    account_ = other.account_;
    data_ = std::move(other.data_);
    begin_ = std::exchange(other.begin_, 0);
    end_ = std::exchange(other.end_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }
  std::size_t capacity() const { return capacity_; }
  const char* data() const { return data_.get() + begin_; }
  char* mutable_data() { return data_.get() + begin_; }
  std::string_view view() const { return {data(), size()}; }

  void Append(std::string_view bytes) {
    std::memcpy(Prepare(bytes.size()), bytes.data(), bytes.size());
    Commit(bytes.size());
  }
  void Append(char byte) {
    *Prepare(1) = byte;
    Commit(1);
  }

  // Room for at least `bytes` more; valid until the next call that is not Commit. Never null; throws
  // ClientMemoryFull, or another bad_alloc, where there is none.
  char* Prepare(std::size_t bytes) {
    if (capacity_ - end_ < bytes || data_ == nullptr) MakeRoom(bytes);
    return data_.get() + end_;
  }
  // Likewise, and false where there is none.
  bool TryReserve(std::size_t bytes);
  std::size_t writable() const { return capacity_ - end_; }
  void Commit(std::size_t bytes) {
    assert(bytes <= capacity_ - end_);
    end_ += bytes;
  }

  void Consume(std::size_t bytes) {
    assert(bytes <= size());
    begin_ += bytes;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  // Drops all but the first `bytes` readable ones.
  void Truncate(std::size_t bytes) {
    assert(bytes <= size());
    end_ = begin_ + bytes;
  }
  void Clear() { begin_ = end_ = 0; }
  // Clears and returns the memory.
  void Release();

 private:
  struct Free {
    void operator()(char* block) const { std::free(block); }
  };

  void MakeRoom(std::size_t bytes);
  void SlideToFront();
  bool Resize(std::size_t capacity);

  ClientMemoryAccount* account_ = nullptr;
  std::unique_ptr<char[], Free> data_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace gyre
