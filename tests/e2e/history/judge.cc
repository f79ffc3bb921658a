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
                                            const client::Command& command) {
  const auto give_up = std::chrono::steady_clock::now() + kReadPatience;
  for (;;) {
    client::Result<client::Value> value = client.ExecuteOn(node, command);
    if (value || std::chrono::steady_clock::now() > give_up) return value;
    std::this_thread::sleep_for(kRetryPause);
  }
}

history::ReadValue NumberOf(const client::Value& value) {
  if (value.is_null()) return {};
  std::uint64_t number = 0;
  std::from_chars(value.text.data(), value.text.data() + value.text.size(), number);
  return {number, value.version};
}

// The keys through one node.
class Reader {
 public:
  Reader(client::Client& client, std::uint32_t id, const std::string& node, Journal& journal)
      : client_(client), id_(id), node_(node), journal_(journal) {}

  void ReadKey(const std::string& key) {
    const client::Result<client::Value> value = ReadPatiently(client_, node_, {"GET", key});
    if (!value) return TellUnreadable(key, value.error().message);
    journal_.FinalRead(id_, key, NumberOf(*value), "through " + node_);
  }

  void ReadBlock(const std::vector<std::string>& keys) {
    client::Command command = {"MGET"};
    command.insert(command.end(), keys.begin(), keys.end());
    const client::Result<client::Value> values = ReadPatiently(client_, node_, command);
    if (!values) return TellUnreadable(keys.front(), values.error().message);
    if (values->elements.size() != keys.size()) {
      return TellUnreadable(keys.front(), "MGET gives not one value for each key");
    }
    for (std::size_t i = 0; i < keys.size(); ++i) {
      journal_.FinalRead(id_, keys[i], NumberOf(values->elements[i]), "through " + node_);
    }
  }

 private:
  void TellUnreadable(const std::string& key, const std::string& why) {
    journal_.Unreadable(key, "through " + node_ + ": " + why);
  }

  client::Client& client_;
  const std::uint32_t id_;
  const std::string node_;
  Journal& journal_;
};

}  // namespace

void ReadAll(client::Client& client, const std::vector<std::string>& nodes,
             const std::vector<std::string>& keys,
             const std::vector<std::vector<std::string>>& blocks, Journal& journal) {
  std::vector<std::thread> readers;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    readers.emplace_back([&, i] {
      Reader reader(client, static_cast<std::uint32_t>(kFirstReader + i), nodes[i], journal);
      for (const std::string& key : keys) reader.ReadKey(key);
      for (const std::vector<std::string>& block : blocks) reader.ReadBlock(block);
    });
  }
  for (std::thread& reader : readers) reader.join();
}

}  // namespace gyre::e2e
