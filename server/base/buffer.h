// The server's byte queue. Where it fills because of what clients send or do not read it has an
// account (client_memory.h), which its block is charged to before it grows; then Prepare throws
// ClientMemoryFull where there is no room. The account outlives it.
#pragma once

#include <cstddef>
#include <cstdlib>

#include "base/client_memory.h"
#include "common/byte_queue.h"

namespace gyre {

class ChargedMemory {
 public:
  ChargedMemory() = default;
  // Null: charged to nobody.
  // NOLINTNEXTLINE(google-explicit-constructor): a Buffer is made of an account
  ChargedMemory(ClientMemoryAccount* account) : account_(account) {}

  char* Resize(char* block, std::size_t from, std::size_t to);
  void Free(char* block, std::size_t bytes) {
    if (account_ != nullptr && bytes != 0) account_->Release(bytes);
    std::free(block);
  }
  [[noreturn]] void Refuse(std::size_t bytes);

 private:
  ClientMemoryAccount* account_ = nullptr;
};

using Buffer = ByteQueue<ChargedMemory>;
// Compiled once, in buffer.cc, but for what is short enough to be inlined.
extern template class ByteQueue<ChargedMemory>;

}  // namespace gyre
