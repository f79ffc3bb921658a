#include "net/resolver.h"

#include <netdb.h>

#include <cstring>
#include <utility>

namespace gyre {
namespace {

std::vector<SocketAddress> CopyAddresses(const addrinfo* found) {
  std::vector<SocketAddress> addresses;
  for (; found != nullptr; found = found->ai_next) {
    if (found->ai_family == AF_INET || found->ai_family == AF_INET6) {
      addresses.push_back(SocketAddress::From(found->ai_addr));
    }
  }
  return addresses;
}

addrinfo StreamHints() {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;  // one entry an address, instead of one a socket type
  return hints;
}

tl::unexpected<Error> Unresolved(const std::string& host, const char* reason) {
  return Fail(ErrorCode::kUnavailable,
              "cannot resolve " + host + ": " + reason + ": check the name and the DNS");
}

}  // namespace

// Shared with the lookups that are on their way: they find out through a weak pointer whether
// anyone still waits.
struct Resolver::Core : std::enable_shared_from_this<Resolver::Core> {
  struct Waiter {
    std::uint16_t port;
    Done done;
  };
  struct Entry {
    std::vector<SocketAddress> addresses;
    TimePoint expires{};
    std::vector<Waiter> waiters;  // not empty: a lookup is on its way
  };
  struct Lookup {
    uv_getaddrinfo_t request{};
    std::weak_ptr<Core> core;
    std::string host;
  };

  Core(EventLoop& loop_in, Duration keep_in) : loop(loop_in), keep(keep_in) {}

  void Begin(const std::string& host);
  static void OnResolved(uv_getaddrinfo_t* request, int status, addrinfo* found);
  void Finish(const std::string& host, int status, const addrinfo* found);

  static Result<std::vector<SocketAddress>> WithPort(std::vector<SocketAddress> addresses,
                                                     std::uint16_t port) {
    for (SocketAddress& address : addresses) address.set_port(port);
    return addresses;
  }

  EventLoop& loop;
  const Duration keep;
  std::map<std::string, Entry> entries;
};

Resolver::Resolver(EventLoop& loop, Duration keep) : core_(std::make_shared<Core>(loop, keep)) {}

Resolver::~Resolver() = default;

void Resolver::Resolve(const std::string& host, std::uint16_t port, Done done) {
  if (auto numeric = SocketAddress::FromNumeric(host, port)) {
    done(std::vector<SocketAddress>{*numeric});
    return;
  }
  if (core_->entries.size() >= kNamesMax) {
    std::erase_if(core_->entries, [](const auto& entry) { return entry.second.waiters.empty(); });
  }
  Core::Entry& entry = core_->entries[host];
  if (entry.waiters.empty() && core_->loop.now() < entry.expires) {
    done(Core::WithPort(entry.addresses, port));
    return;
  }
  entry.waiters.push_back({port, std::move(done)});
  if (entry.waiters.size() == 1) core_->Begin(host);
}

void Resolver::Core::Begin(const std::string& host) {
  auto* lookup = new Lookup;
  lookup->request.data = lookup;
  lookup->core = weak_from_this();
  lookup->host = host;
  const addrinfo hints = StreamHints();
  const int error =
      uv_getaddrinfo(loop.raw(), &lookup->request, OnResolved, host.c_str(), nullptr, &hints);
  if (error == 0) return;
  // Refused at once (a name that is too long): told from the loop all the same, so that `done`
  // never runs within the call.
  delete lookup;
  loop.Post([weak = weak_from_this(), host, error] {
    if (auto core = weak.lock()) core->Finish(host, error, nullptr);
  });
}

void Resolver::Core::OnResolved(uv_getaddrinfo_t* request, int status, addrinfo* found) {
  std::unique_ptr<Lookup> lookup(static_cast<Lookup*>(request->data));
  if (auto core = lookup->core.lock()) core->Finish(lookup->host, status, found);
  uv_freeaddrinfo(found);
}

void Resolver::Core::Finish(const std::string& host, int status, const addrinfo* found) {
  std::vector<SocketAddress> addresses = CopyAddresses(found);
  std::vector<Waiter> waiters;
  auto entry = entries.find(host);
  waiters.swap(entry->second.waiters);
  if (status == 0 && !addresses.empty() && keep > Duration::zero()) {
    entry->second.addresses = addresses;
    entry->second.expires = loop.now() + keep;
  } else {
    entries.erase(entry);
  }
  for (Waiter& waiter : waiters) {
    if (addresses.empty()) {
      waiter.done(Unresolved(host, status == 0 ? "no address" : uv_strerror(status)));
    } else {
      waiter.done(WithPort(addresses, waiter.port));
    }
  }
}

Result<SocketAddress> ResolveNow(const std::string& host, std::uint16_t port) {
  if (auto numeric = SocketAddress::FromNumeric(host, port)) return *numeric;
  const addrinfo hints = StreamHints();
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error != 0) return Unresolved(host, gai_strerror(error));
  std::vector<SocketAddress> addresses = CopyAddresses(found);
  freeaddrinfo(found);
  if (addresses.empty()) return Unresolved(host, "no address");
  addresses.front().set_port(port);
  return addresses.front();
}

}  // namespace gyre
