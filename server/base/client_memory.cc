#include "base/client_memory.h"

namespace gyre {

bool ClientMemoryAccount::TryCharge(std::size_t bytes, std::size_t block_bytes) {
  if (refuses_ && block_bytes > ClientMemory::kSmallBytes) {
    // Never added to be taken back: in between, another thread would find the memory full and close
    // a client for it.
    std::size_t used = memory_.used_.load(std::memory_order_relaxed);
    do {
      if (used + bytes > memory_.limit_of_large()) {
        memory_.refused_.fetch_add(1, std::memory_order_relaxed);
        return false;
      }
    } while (!memory_.used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  } else {
    memory_.used_.fetch_add(bytes, std::memory_order_relaxed);
  }
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  return true;
}

void ClientMemoryAccount::Release(std::size_t bytes) {
  bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  memory_.used_.fetch_sub(bytes, std::memory_order_relaxed);
}

bool ClientMemoryCharge::Set(std::size_t bytes) {
  if (account_ != nullptr && bytes > bytes_ && !account_->TryCharge(bytes - bytes_, bytes)) {
    return false;
  }
  if (account_ != nullptr && bytes < bytes_) account_->Release(bytes_ - bytes);
  bytes_ = bytes;
  return true;
}

bool ClientMemoryShare::TryTake(std::size_t bytes) {
  if (account_ == nullptr) return true;
  if (used_ + bytes > charged_) {
    const std::size_t step = used_ + bytes - charged_ + kStepBytes;
    if (!account_->TryCharge(step, bytes)) return false;
    charged_ += step;
  }
  used_ += bytes;
  return true;
}

void ClientMemoryShare::GiveBack(std::size_t bytes) {
  if (account_ == nullptr) return;
  used_ -= bytes;
  if (charged_ - used_ <= 2 * kStepBytes) return;
  const std::size_t spare = charged_ - used_ - kStepBytes;
  account_->Release(spare);
  charged_ -= spare;
}

Error ReplyTooLarge() {
  return {ErrorCode::kTooLarge,
          "reply too large: there is no room for it in the memory for clients; ask for less at "
          "once (fewer keys, SCAN in the place of KEYS, GETRANGE), or raise --client-memory"};
}

}  // namespace gyre
