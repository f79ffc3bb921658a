// The keys of --gossip-key: what makes a process a member of the cluster and no stranger.
//
// A key is 32 random bytes that every node has in a file. It is never used itself: from it come,
// through the key derivation of libsodium (BLAKE2b), one key for datagrams (datagram_seal.h), one
// that is mixed into the handshakes of links (link_handshake.h), and a fingerprint to show.
//
// Rotation. A file has one key or two. The first is used to send, both are accepted; so a cluster
// changes its key without a moment in which two nodes do not understand each other:
//
//   file of each node     A        A,B        B,A        B
//                         |  add   |  swap    |  remove  |
//   sends with            A        A          B          B
//   accepts               A        A B        B A        B
//
// Each step is made on all nodes (and SIGHUP sent) before the next one begins.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/statistic.h"
#include "base/tally.h"
#include "common/mutex.h"
#include "crypto/secret_bytes.h"
#include "proto/result.h"

namespace gyre {

inline constexpr std::size_t kGossipKeysMax = 2;
// Of a key file, comments included.
inline constexpr std::size_t kGossipKeyFileBytesMax = 16 * 1024;

struct GossipKey {
  Secret32 datagram;
  Secret32 link;
  std::string fingerprint;  // eight hex digits that tell keys apart and tell nothing else of them
};

// The text of a key file: a key a line, in base64 or hex; empty lines and what follows a # are
// skipped. The message of an error says the line, and never what stands in it.
Result<std::vector<GossipKey>> ParseGossipKeys(std::string_view text);

// A new key as a line of such a file, without the newline.
std::string GenerateGossipKey();

// What was refused because of keys.
struct CryptoStats {
  std::uint64_t datagrams_unsealed = 0;
  std::uint64_t datagrams_foreign = 0;
  std::uint64_t datagrams_replayed = 0;
  std::uint64_t datagrams_stale = 0;
  std::uint64_t handshakes = 0;
  std::uint64_t handshakes_failed = 0;
  std::uint64_t links_broken = 0;
  std::uint64_t peer_requests_plain = 0;

  static constexpr Statistic<CryptoStats> kStatistics[] = {
      {&CryptoStats::datagrams_unsealed,
       {.name = "gyre_gossip_refused_total",
        .help = "Gossip datagrams dropped: not sealed, of another key or damaged, received before, "
                "of a new node whose clock differs too much.",
        .label = "reason",
        .label_value = "unsealed"}},
      {&CryptoStats::datagrams_foreign,
       {.name = "gyre_gossip_refused_total", .label = "reason", .label_value = "key"}},
      {&CryptoStats::datagrams_replayed,
       {.name = "gyre_gossip_refused_total", .label = "reason", .label_value = "replay"}},
      {&CryptoStats::datagrams_stale,
       {.name = "gyre_gossip_refused_total", .label = "reason", .label_value = "clock"}},
      {&CryptoStats::handshakes,
       {.name = "gyre_link_handshakes_total",
        .help = "Encrypted links set up with other nodes, both ways."}},
      {&CryptoStats::handshakes_failed,
       {.name = "gyre_link_handshakes_failed_total",
        .help = "Links refused: the other side has another key."}},
      {&CryptoStats::links_broken,
       {.name = "gyre_links_broken_total",
        .help = "Encrypted links closed: a record was damaged, or their key was removed."}},
      {&CryptoStats::peer_requests_plain,
       {.name = "gyre_peer_requests_plain_total",
        .help = "Requests of nodes refused because they came without the gossip key."}},
  };
};
static_assert(AllDescribed<CryptoStats>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

// Thread-safe.
class Keyring {
 public:
  using Keys = std::shared_ptr<const std::vector<GossipKey>>;

  // `keys`: one or two, as ParseGossipKeys returns them.
  explicit Keyring(std::vector<GossipKey> keys);
  Keyring(const Keyring&) = delete;
  Keyring& operator=(const Keyring&) = delete;

  // From now on these. Links that were made with a key which is gone break at their next record.
  void Replace(std::vector<GossipKey> keys);

  // The first one is for sending.
  Keys Load() const;
  // Changes with each Replace: one load, so that it may be asked for each record.
  std::uint64_t revision() const { return revision_.load(std::memory_order_acquire); }
  bool Accepts(const Secret32& link) const;
  bool Sends(const Secret32& link) const;
  // "1a2b3c4d" or "1a2b3c4d,5e6f7081"
  std::string Fingerprints() const;

  using Counters = Tally<CryptoStats, SharedCounter>;
  Counters& counters() const { return counters_; }
  CryptoStats stats() const { return counters_.Read(); }

 private:
  mutable Mutex mutex_;
  Keys keys_ GYRE_GUARDED_BY(mutex_);
  std::atomic<std::uint64_t> revision_{1};
  mutable Counters counters_;
};

}  // namespace gyre
