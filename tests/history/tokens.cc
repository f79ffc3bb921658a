#include "history/tokens.h"

#include <algorithm>
#include <set>

namespace gyre::history {

void Tokens::Issue(const std::string& key, std::uint64_t number, std::uint64_t previous,
                   std::uint64_t token) {
  Chain& chain = keys_[key];
  chain.issued = std::max(chain.issued, number);
  const auto parent = chain.swaps.find(previous);
  const std::uint64_t depth = parent == chain.swaps.end() ? 1 : parent->second.depth + 1;
  chain.swaps[number] = {previous, token, depth, State::kUnknown};
}

void Tokens::Acknowledge(const std::string& key, std::uint64_t number, const std::string& when) {
  Chain& chain = keys_[key];
  Swap& swap = chain.swaps[number];
  swap.state = State::kAcknowledged;
  ++chain.acknowledged;
  chain.depth = std::max(chain.depth, swap.depth);
  const auto [winner, first] = chain.winners.try_emplace(swap.token, number);
  if (first) return;
  violations_.Add(Fault::kTwoWinners, key,
                  when + ": token " + std::to_string(swap.token) + " of " + key + " was won by " +
                      std::to_string(winner->second) + " and by " + std::to_string(number));
}

void Tokens::Refuse(const std::string& key, std::uint64_t number) {
  keys_[key].swaps[number].state = State::kRefused;
}

std::uint64_t Tokens::Floor(const std::string& key) const {
  const auto found = keys_.find(key);
  return found == keys_.end() ? 0 : found->second.depth;
}

void Tokens::Judge(const std::string& key, std::uint64_t floor, std::optional<std::uint64_t> read,
                   std::uint64_t token, bool is_final, const std::string& when) {
  Chain& chain = keys_[key];
  const std::uint64_t number = read.value_or(0);
  const std::string reads = when + ": " + key + " reads " + std::to_string(number);
  const auto swap = chain.swaps.find(number);
  if (read && (swap == chain.swaps.end() || swap->second.state == State::kRefused)) {
    violations_.Add(Fault::kInvented, key, reads + ", which was never stored");
    return;
  }
  if (const std::uint64_t depth = read ? swap->second.depth : 0; depth < floor) {
    violations_.Add(Fault::kLost, key,
                    reads + ", swap " + std::to_string(depth) + " of the key, " +
                        std::to_string(floor) + " were acknowledged");
  }
  if (read && token != 0) NoteToken(key, chain, number, token, when);
  if (!is_final) return;
  JudgeDescent(key, chain, number, when);
  if (chain.final && chain.final_issued == chain.issued && *chain.final != number) {
    violations_.Add(Fault::kDiverged, key,
                    reads + ", another final read says " + std::to_string(*chain.final));
  }
  chain.final = number;
  chain.final_issued = chain.issued;
}

void Tokens::NoteToken(const std::string& key, Chain& chain, std::uint64_t number,
                       std::uint64_t token, const std::string& when) {
  const std::uint64_t known_token = chain.token_of.try_emplace(number, token).first->second;
  const std::uint64_t known_number = chain.number_of.try_emplace(token, number).first->second;
  if (known_token == token && known_number == number) return;
  violations_.Add(Fault::kTokenReused, key,
                  when + ": " + key + " reads " + std::to_string(number) + " with token " +
                      std::to_string(token) + "; before, " + std::to_string(known_number) +
                      " was read with that token and the value with " +
                      std::to_string(known_token));
}

void Tokens::JudgeDescent(const std::string& key, const Chain& chain, std::uint64_t number,
                          const std::string& when) {
  std::set<std::uint64_t> line;
  for (auto each = chain.swaps.find(number);
       each != chain.swaps.end() && line.insert(each->first).second;
       each = chain.swaps.find(each->second.previous)) {
    if (each->second.state == State::kRefused) {
      violations_.Add(Fault::kInvented, key,
                      when + ": " + key + " descends from " + std::to_string(each->first) +
                          ", which was refused");
    }
  }
  for (const auto& [each, swap] : chain.swaps) {
    if (swap.state != State::kAcknowledged || line.contains(each)) continue;
    violations_.Add(Fault::kForked, key,
                    when + ": the last value of " + key + ", " + std::to_string(number) +
                        ", does not descend from " + std::to_string(each) +
                        ", which was acknowledged");
    return;
  }
}

}  // namespace gyre::history
