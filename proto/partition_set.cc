#include "proto/partition_set.h"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace gyre {
namespace {

std::size_t WordsOf(std::uint32_t partition_count) {
  return (std::size_t{partition_count} + 63) / 64;
}

}  // namespace

PartitionSet::PartitionSet(std::uint32_t partition_count, bool all)
    : partition_count_(partition_count),
      words_(WordsOf(partition_count), all ? ~std::uint64_t{0} : 0) {
  ClearRest();
}

void PartitionSet::Resize(std::uint32_t partition_count) {
  partition_count_ = partition_count;
  words_.resize(WordsOf(partition_count));
  ClearRest();
}

void PartitionSet::ClearRest() {
  if (partition_count_ % 64 != 0) words_.back() &= Bit(partition_count_) - 1;
}

void PartitionSet::Add(const PartitionSet& other) {
  assert(partition_count_ == other.partition_count_);
  for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
}

void PartitionSet::Remove(const PartitionSet& other) {
  assert(partition_count_ == other.partition_count_);
  for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= ~other.words_[i];
}

void PartitionSet::Keep(const PartitionSet& other) {
  assert(partition_count_ == other.partition_count_);
  for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
}

void PartitionSet::Toggle(const PartitionSet& other) {
  assert(partition_count_ == other.partition_count_);
  for (std::size_t i = 0; i < words_.size(); ++i) words_[i] ^= other.words_[i];
}

bool PartitionSet::Any() const {
  return std::any_of(words_.begin(), words_.end(), [](std::uint64_t word) { return word != 0; });
}

std::uint32_t PartitionSet::Count() const {
  return std::accumulate(words_.begin(), words_.end(), 0U,
                         [](std::uint32_t sum, std::uint64_t word) {
                           return sum + static_cast<std::uint32_t>(std::popcount(word));
                         });
}

std::string PartitionSet::ToBytes() const {
  std::string bytes;
  for (const std::uint64_t word : words_) {
    for (int shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<char>(word >> shift));
  }
  while (!bytes.empty() && bytes.back() == '\0') bytes.pop_back();
  return bytes;
}

std::optional<PartitionSet> PartitionSet::FromBytes(std::string_view bytes,
                                                    std::uint32_t partition_count) {
  if (bytes.size() > BytesOf(partition_count)) return std::nullopt;
  PartitionSet set(partition_count);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    set.words_[i / 8] |= std::uint64_t{static_cast<std::uint8_t>(bytes[i])} << (i % 8 * 8);
  }
  set.ClearRest();
  return set;
}

}  // namespace gyre
