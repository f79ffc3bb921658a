#include "net/admission.h"

namespace gyre {
namespace {

std::string IpOf(std::string_view address) {
  return std::string(address.substr(0, address.rfind(':')));
}

}  // namespace

Admission::Admission(std::size_t clients_max, std::size_t of_address_max)
    : max_{clients_max, kReservedMax, kUndecidedMax, kPeersMax, kAdminMax},
      of_address_max_(of_address_max) {}

Status Admission::Take(Place place, std::string_view address) {
  const auto index = static_cast<std::size_t>(place);
  MutexLock lock(mutex_);
  if (taken_[index] >= max_[index]) {
    const std::size_t clients = max_[static_cast<std::size_t>(Place::kClient)];
    return Fail(ErrorCode::kTooLarge, "max number of clients reached: " + std::to_string(clients) +
                                          " are connected; close some");
  }
  if (counts_addresses(place)) {
    if (Status taken = TakeOf(address); !taken) return taken;
  }
  ++taken_[index];
  return {};
}

Status Admission::TakeOf(std::string_view address) {
  std::size_t& of_address = of_address_[IpOf(address)];
  if (of_address >= of_address_max_) {
    return Fail(ErrorCode::kTooLarge,
                "max number of clients reached: " + std::to_string(of_address) +
                    " are connected from this address (--max-connections-per-address)");
  }
  ++of_address;
  return {};
}

void Admission::Leave(Place place, std::string_view address) {
  MutexLock lock(mutex_);
  --taken_[static_cast<std::size_t>(place)];
  if (counts_addresses(place)) LeaveOf(address);
}

void Admission::LeaveOf(std::string_view address) {
  const auto of_address = of_address_.find(IpOf(address));
  if (--of_address->second == 0) of_address_.erase(of_address);
}

Status Admission::Readdress(Place place, std::string_view from, std::string_view to) {
  if (!counts_addresses(place) || IpOf(from) == IpOf(to)) return {};
  MutexLock lock(mutex_);
  if (Status taken = TakeOf(to); !taken) return taken;
  LeaveOf(from);
  return {};
}

}  // namespace gyre
