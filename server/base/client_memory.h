// The one budget of a node for what clients make it hold: unfinished requests, arguments of commands
// that wait, gathered replies, replies that were not read yet, and the frames that pass them on to
// other nodes. Beside `--memory`, which is for records, it is what keeps the process within bounds
// whatever clients send or do not read.
//
// Memory is charged before it is had. Two kinds of blocks are told apart by their size:
//
//   small   (kSmallBytes or less) always granted, so that clients who want little are served even
//           while others hold everything. Where that leads beyond the limit, whoever is asked next
//           closes the largest clients until it is kept again (net/server.h).
//   large   granted only while an eighth of the limit stays free for small ones.
//
// Cost: one or two atomic additions where a block grows or goes, none where memory is used again.
// Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <utility>

#include "base/statistic.h"
#include "proto/result.h"

namespace gyre {

class ClientMemory;

// What a block was refused with. A bad_alloc, because what follows is the same: it unwinds to where
// the request was begun (net's connection, or a callback that answers one), which answers with an
// error or tries again later. Nothing was changed by then: a handler that changes something has
// reserved room for its reply before (ReplyWriter::Reserve).
class ClientMemoryFull : public std::bad_alloc {
 public:
  explicit ClientMemoryFull(std::size_t bytes) : bytes_(bytes) {}
  const char* what() const noexcept override { return "the client memory is full"; }
  std::size_t bytes() const { return bytes_; }  // that were wanted

 private:
  std::size_t bytes_;
};

// The part of the budget that one kind of use has taken.
class ClientMemoryAccount {
 public:
  // `refuses`: false where a charge is granted always.
  ClientMemoryAccount(ClientMemory& memory, bool refuses) : memory_(memory), refuses_(refuses) {}
  ClientMemoryAccount(const ClientMemoryAccount&) = delete;
  ClientMemoryAccount& operator=(const ClientMemoryAccount&) = delete;

  // Charges `bytes`, by which a block grows to `block_bytes`. False: refused, nothing is charged.
  bool TryCharge(std::size_t bytes, std::size_t block_bytes);
  void Release(std::size_t bytes);

  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  ClientMemory& memory() { return memory_; }

 private:
  ClientMemory& memory_;
  const bool refuses_;
  std::atomic<std::size_t> bytes_{0};
};

struct ClientMemoryStats {
  std::uint64_t buffers = 0;
  std::uint64_t requests = 0;
  std::uint64_t gathered = 0;
  std::uint64_t link_input = 0;
  std::uint64_t link_output = 0;
  std::uint64_t limit = 0;
  std::uint64_t waiting = 0;
  std::uint64_t refused = 0;

  std::uint64_t used() const { return buffers + requests + gathered + link_input + link_output; }

  static constexpr Statistic<ClientMemoryStats> kStatistics[] = {
      {&ClientMemoryStats::buffers,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kBytes,
        .name = "gyre_client_memory_bytes",
        .help = "Memory held for clients: buffers of connections, arguments of requests that wait, "
                "gathered replies, frames on links to other nodes.",
        .label = "kind",
        .label_value = "buffers"}},
      {&ClientMemoryStats::requests,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kBytes,
        .name = "gyre_client_memory_bytes",
        .label = "kind",
        .label_value = "requests"}},
      {&ClientMemoryStats::gathered,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kBytes,
        .name = "gyre_client_memory_bytes",
        .label = "kind",
        .label_value = "gathered"}},
      {&ClientMemoryStats::link_input,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kBytes,
        .name = "gyre_client_memory_bytes",
        .label = "kind",
        .label_value = "link_input"}},
      {&ClientMemoryStats::link_output,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kBytes,
        .name = "gyre_client_memory_bytes",
        .label = "kind",
        .label_value = "link_output"}},
      {&ClientMemoryStats::limit,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kBytes,
        .name = "gyre_client_memory_limit_bytes",
        .help = "--client-memory."}},
      {&ClientMemoryStats::waiting,
       {.kind = StatKind::kGauge,
        .name = "gyre_client_memory_waiting",
        .help = "Clients that wait for room in it."}},
      {&ClientMemoryStats::refused,
       {.name = "gyre_client_memory_refused_total",
        .help =
            "Blocks for requests and replies that found no room; they waited, or were refused."}},
  };
};
static_assert(AllDescribed<ClientMemoryStats>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

class ClientMemory {
 public:
  static constexpr std::size_t kSmallBytes = std::size_t{64} << 10;

  enum class Kind : std::uint8_t {
    kBuffers,    // of connections: input that is no whole request yet, output that was not sent yet
    kRequests,   // arguments of commands that wait or are on their way to another node
    kGathered,   // replies put together from several parts
    kLinkInput,  // frames of other nodes that are not complete
    // Frames that wait to be sent to other nodes; never refused, for replication must go on: clients
    // make room for it.
    kLinkOutput,
  };
  static constexpr std::size_t kKinds = 5;

  explicit ClientMemory(std::size_t limit_bytes) : limit_(limit_bytes) {}

  ClientMemoryAccount& account(Kind kind) { return accounts_[static_cast<std::size_t>(kind)]; }
  const ClientMemoryAccount& account(Kind kind) const {
    return accounts_[static_cast<std::size_t>(kind)];
  }
  // Null where there is no budget.
  static ClientMemoryAccount* AccountOf(ClientMemory* memory, Kind kind) {
    return memory == nullptr ? nullptr : &memory->account(kind);
  }

  std::size_t limit() const { return limit_; }
  std::size_t used() const { return used_.load(std::memory_order_relaxed); }
  // What large blocks may take in all.
  static constexpr std::size_t LargeOf(std::size_t limit) { return limit - limit / 8; }
  std::size_t limit_of_large() const { return LargeOf(limit_); }
  bool HasRoomFor(std::size_t bytes) const { return used() + bytes <= limit_of_large(); }
  bool over() const { return used() > limit_; }
  // How much must go until an eighth is free again.
  std::size_t excess() const {
    const std::size_t now = used();
    return now > limit_of_large() ? now - limit_of_large() : 0;
  }

  // Clients that wait for room: who takes much leaves them some.
  void AddWaiting(int clients) { waiting_.fetch_add(clients, std::memory_order_relaxed); }
  int waiting() const { return waiting_.load(std::memory_order_relaxed); }

  // Blocks that found no room.
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

  ClientMemoryStats stats() const {
    return {.buffers = account(Kind::kBuffers).bytes(),
            .requests = account(Kind::kRequests).bytes(),
            .gathered = account(Kind::kGathered).bytes(),
            .link_input = account(Kind::kLinkInput).bytes(),
            .link_output = account(Kind::kLinkOutput).bytes(),
            .limit = limit_,
            .waiting = static_cast<std::uint64_t>(waiting()),
            .refused = refused()};
  }

 private:
  friend class ClientMemoryAccount;

  const std::size_t limit_;
  std::atomic<std::size_t> used_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<int> waiting_{0};
  std::array<ClientMemoryAccount, kKinds> accounts_{
      ClientMemoryAccount(*this, true), ClientMemoryAccount(*this, true),
      ClientMemoryAccount(*this, true), ClientMemoryAccount(*this, true),
      ClientMemoryAccount(*this, false)};
};

// Bytes charged by hand, for what is no Buffer; released with it. One thread at a time.
class ClientMemoryCharge {
 public:
  ClientMemoryCharge() = default;  // charges nothing, anywhere
  explicit ClientMemoryCharge(ClientMemoryAccount* account) : account_(account) {}
  ~ClientMemoryCharge() { Set(0); }
  ClientMemoryCharge(ClientMemoryCharge&& other) noexcept
      : account_(other.account_), bytes_(std::exchange(other.bytes_, 0)) {}
  ClientMemoryCharge& operator=(ClientMemoryCharge&& other) noexcept {
    Set(0);
    account_ = other.account_;
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
  }
  ClientMemoryCharge(const ClientMemoryCharge&) = delete;
  ClientMemoryCharge& operator=(const ClientMemoryCharge&) = delete;

  std::size_t bytes() const { return bytes_; }
  // False, and nothing changes: there is no room for the larger amount.
  bool Set(std::size_t bytes);
  bool Grow(std::size_t bytes) { return Set(bytes_ + bytes); }

 private:
  ClientMemoryAccount* account_ = nullptr;
  std::size_t bytes_ = 0;
};

// One loop's charge for many small things, such as the arguments of commands that wait: taken from
// the account in steps, so that loops do not meet there for each of them. One thread, but for the
// destructor.
class ClientMemoryShare {
 public:
  static constexpr std::size_t kStepBytes = std::size_t{64} << 10;

  explicit ClientMemoryShare(ClientMemoryAccount* account) : account_(account) {}
  ~ClientMemoryShare() {
    if (account_ != nullptr) account_->Release(charged_);
  }
  ClientMemoryShare(const ClientMemoryShare&) = delete;
  ClientMemoryShare& operator=(const ClientMemoryShare&) = delete;

  // False: refused, as a block of this size.
  bool TryTake(std::size_t bytes);
  void GiveBack(std::size_t bytes);

 private:
  ClientMemoryAccount* const account_;
  std::size_t charged_ = 0;
  std::size_t used_ = 0;
};

// What a client is told whose request or reply found no room.
Error ReplyTooLarge();

}  // namespace gyre
