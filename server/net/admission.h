// Who may have a connection: one count for all loops of a process, by kind.
//
// Clients have --max-connections places. Peers, the admin port and who did not say yet what it is
// have places of their own, so that clients, however many, keep neither the ring nor its operator
// out. On a native port a connection is undecided until its first request (with a gossip key: until
// its handshake) shows a peer or a client. Of native clients a few more than the limit are let in
// for short work: that is how `gyre` reaches a full node.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/mutex.h"
#include "proto/result.h"

namespace gyre {

enum class Place : std::uint8_t { kClient, kReserved, kUndecided, kPeer, kAdmin };

// Any thread.
class Admission {
 public:
  static constexpr std::size_t kReservedMax = 32;
  static constexpr std::size_t kUndecidedMax = 256;
  static constexpr std::size_t kPeersMax = 16 * 1024;
  static constexpr std::size_t kAdminMax = 64;

  // `of_address_max`: clients from one IP address; 0: any number.
  Admission(std::size_t clients_max, std::size_t of_address_max);

  // An error, worded for who is refused, if no place is left. `address`: "IP:port".
  Status Take(Place place, std::string_view address);
  void Leave(Place place, std::string_view address);
  // The connection counts as of the address `to` from now on. An error if that has too many already:
  // then it counts as of `from` still.
  Status Readdress(Place place, std::string_view from, std::string_view to);

 private:
  static constexpr std::size_t kPlaces = 5;

  bool counts_addresses(Place place) const {
    return of_address_max_ != 0 && (place == Place::kClient || place == Place::kReserved);
  }

  // Immutable.
  std::array<std::size_t, kPlaces> max_;
  const std::size_t of_address_max_;

  Status TakeOf(std::string_view address) GYRE_REQUIRES(mutex_);
  void LeaveOf(std::string_view address) GYRE_REQUIRES(mutex_);

  Mutex mutex_;
  std::array<std::size_t, kPlaces> taken_ GYRE_GUARDED_BY(mutex_){};
  std::unordered_map<std::string, std::size_t> of_address_ GYRE_GUARDED_BY(mutex_);
};

}  // namespace gyre
