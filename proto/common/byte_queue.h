// A byte queue in one contiguous block: bytes are appended at the end and consumed at the front.
//
//   data_        begin_            end_           capacity_
//    | consumed   | readable        | writable       |
//
// Invariant: begin_ <= end_ <= capacity_. Memory is kept when the queue empties, so that the steady
// state does not allocate; `Release` gives it back (an idle connection holds none), `Trim` after a
// burst. Not thread-safe.
//
// `Memory` says where blocks come from: the client's from the heap (HeapMemory), the server's are
// charged to an account as well (base/buffer.h).
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace gyre {

struct HeapMemory {
  // `block`, which may be null and has `from` bytes, with `to` bytes and the same contents. Null,
  // and nothing changes: there is no room.
  char* Resize(char* block, std::size_t /*from*/, std::size_t to) {
    return static_cast<char*>(std::realloc(block, to));
  }
  void Free(char* block, std::size_t /*bytes*/) { std::free(block); }
  // There was no room for a block that holds `bytes`, and somebody needs it.
  [[noreturn]] void Refuse(std::size_t /*bytes*/) { throw std::bad_alloc(); }
};

template <typename Memory = HeapMemory>
class ByteQueue {
 public:
  // What to reserve next for something large that was announced, of which `have` bytes are here and
  // `missing` are not: at first a megabyte at most, then steps that quadruple what is here. Many who
  // only announce must not get the memory for it.
  static std::size_t Step(std::size_t have, std::size_t missing) {
    constexpr std::size_t kFirst = 1024 * 1024;
    return std::min(missing, std::max(3 * have, kFirst));
  }

  ByteQueue() = default;
  explicit ByteQueue(Memory memory) : memory_(memory) {}
  ~ByteQueue() {
    if (data_ != nullptr) Release();
  }
  // The block goes over with its memory's account.
  ByteQueue(ByteQueue&& other) noexcept
      : memory_(other.memory_),
        data_(std::exchange(other.data_, nullptr)),
        begin_(std::exchange(other.begin_, 0)),
        end_(std::exchange(other.end_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  ByteQueue& operator=(ByteQueue&& other) noexcept {
    if (data_ != nullptr) Release();
    memory_ = other.memory_;
    data_ = std::exchange(other.data_, nullptr);
    begin_ = std::exchange(other.begin_, 0);
    end_ = std::exchange(other.end_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    return *this;
  }
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;

  std::size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }
  std::size_t capacity() const { return capacity_; }
  const char* data() const { return data_ + begin_; }
  char* mutable_data() { return data_ + begin_; }
  std::string_view view() const { return {data(), size()}; }

  void Append(std::string_view bytes) {
    bytes.copy(Prepare(bytes.size()),
               bytes.size());  // unlike memcpy also of no bytes at no address
    Commit(bytes.size());
  }
  void Append(char byte) {
    *Prepare(1) = byte;
    Commit(1);
  }

  // Room for at least `bytes` more; valid until the next call that is not Commit. Never null; throws
  // a bad_alloc, or what the memory throws instead, where there is none.
  char* Prepare(std::size_t bytes) {
    if (capacity_ - end_ < bytes || data_ == nullptr) MakeRoom(bytes);
    return data_ + end_;
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
  // Returns the memory if the queue is empty and has more than `kept_bytes_max`.
  void Trim(std::size_t kept_bytes_max) {
    if (empty() && capacity_ > kept_bytes_max) Release();
  }

 private:
  static constexpr std::size_t kCapacityMin = 1024;
  // A block doubles up to this size. Larger ones grow by a quarter: what they do not need is
  // charged, too, and the system moves their pages, not their bytes.
  static constexpr std::size_t kDoublesMax = std::size_t{1} << 20;

  static std::size_t Grown(std::size_t capacity) {
    return capacity <= kDoublesMax ? 2 * capacity : capacity + capacity / 4;
  }

  void MakeRoom(std::size_t bytes);
  void SlideToFront();
  bool Resize(std::size_t capacity);

  [[no_unique_address]] Memory memory_;
  char* data_ = nullptr;  // owned
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t capacity_ = 0;
};

template <typename Memory>
void ByteQueue<Memory>::Release() {
  memory_.Free(std::exchange(data_, nullptr), capacity_);
  begin_ = end_ = capacity_ = 0;
}

template <typename Memory>
void ByteQueue<Memory>::MakeRoom(std::size_t bytes) {
  if (!TryReserve(bytes)) memory_.Refuse(size() + bytes);
}

template <typename Memory>
bool ByteQueue<Memory>::TryReserve(std::size_t bytes) {
  if (data_ != nullptr && capacity_ - end_ >= bytes) return true;
  const std::size_t needed = size() + bytes;
  // Sliding the readable bytes to the front costs at most one move per byte consumed, as long as at
  // least half of the block was consumed.
  if (data_ != nullptr && begin_ >= capacity_ / 2 && capacity_ >= needed) {
    SlideToFront();
    return true;
  }
  const std::size_t capacity = std::max({kCapacityMin, Grown(capacity_), needed});
  if (Resize(capacity) || (needed > capacity_ && needed < capacity && Resize(needed))) return true;
  if (capacity_ < needed) return false;
  SlideToFront();
  return true;
}

template <typename Memory>
void ByteQueue<Memory>::SlideToFront() {
  std::memmove(data_, data(), size());
  end_ -= begin_;
  begin_ = 0;
}

// To a larger block. False, and nothing changes: there is no room for it.
template <typename Memory>
bool ByteQueue<Memory>::Resize(std::size_t capacity) {
  char* const grown = memory_.Resize(data_, capacity_, capacity);
  if (grown == nullptr) return false;
  data_ = grown;
  capacity_ = capacity;
  if (begin_ != 0) SlideToFront();
  return true;
}

}  // namespace gyre
