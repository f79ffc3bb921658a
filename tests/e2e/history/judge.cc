#include "e2e/history/judge.h"

#include <charconv>
#include <chrono>
#include <thread>

namespace gyre::e2e {
namespace {

constexpr std::chrono::seconds kReadPatience{5};
constexpr std::chrono::milliseconds kRetryPause{20};
// Readers of the history, one a node.
constexpr std::uint32_t kFirstReader = 2'000'000;

client::Result<client::Value> ReadPatiently(client::Client& client, const std::string& node,
                                            const std::string& key) {
  const auto give_up = std::chrono::steady_clock::now() + kReadPatience;
  for (;;) {
    client::Result<client::Value> value = client.ExecuteOn(node, {"GET", key});
    if (value || std::chrono::steady_clock::now() > give_up) return value;
    std::this_thread::sleep_for(kRetryPause);
  }
}

void ReadThrough(client::Client& client, std::uint32_t reader, const std::string& node,
                 const std::vector<std::string>& keys, Journal& journal) {
  for (const std::string& key : keys) {
    const client::Result<client::Value> value = ReadPatiently(client, node, key);
    if (!value) {
      journal.Unreadable(key, "through " + node + ": " + value.error().message);
      continue;
    }
    history::ReadValue read;
    if (!value->is_null()) {
      std::uint64_t number = 0;
      std::from_chars(value->text.data(), value->text.data() + value->text.size(), number);
      read = {number, value->version};
    }
    journal.FinalRead(reader, key, read, "through " + node);
  }
}

}  // namespace

void ReadAll(client::Client& client, const std::vector<std::string>& nodes,
             const std::vector<std::string>& keys, Journal& journal) {
  std::vector<std::thread> readers;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    readers.emplace_back([&, i] {
      ReadThrough(client, static_cast<std::uint32_t>(kFirstReader + i), nodes[i], keys, journal);
    });
  }
  for (std::thread& reader : readers) reader.join();
}

}  // namespace gyre::e2e
