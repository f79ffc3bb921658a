#include "client/feed_cursor.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "proto/slot.h"

namespace gyre::client {
namespace {

constexpr std::uint8_t kFormat = 1;
constexpr std::size_t kChecksumBytes = 4;
// More than any cursor has: two whole varints for each of the most partitions.
constexpr std::size_t kTextBytesMax = std::size_t{kSlotCount} * 2 * 10 * 2;
constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::uint32_t Checksum(std::string_view bytes) {  // FNV-1a
  std::uint32_t sum = 2166136261U;
  for (const char c : bytes) sum = (sum ^ static_cast<unsigned char>(c)) * 16777619U;
  return sum;
}

std::string ToBase64(std::string_view bytes) {
  std::string text;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : bytes) {
    bits = bits << 8 | static_cast<unsigned char>(c);
    for (count += 8; count >= 6; count -= 6) text += kDigits[bits >> (count - 6) & 63];
  }
  if (count > 0) text += kDigits[bits << (6 - count) & 63];
  return text;
}

std::optional<std::string> FromBase64(std::string_view text) {
  std::string bytes;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const std::size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count);
  }
  return bytes;
}

void Put(std::uint64_t number, std::string& out) {
  for (; number >= 0x80; number >>= 7) out += static_cast<char>(number | 0x80);
  out += static_cast<char>(number);
}

// Takes varints from the front of `bytes`; sets `broken` where there is none.
class Taker {
 public:
  explicit Taker(std::string_view bytes) : bytes_(bytes) {}

  std::uint64_t Take() {
    std::uint64_t number = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (bytes_.empty()) break;
      const auto byte = static_cast<unsigned char>(bytes_.front());
      bytes_.remove_prefix(1);
      if (shift == 63 && byte > 1) break;
      number |= std::uint64_t{byte & 0x7fU} << shift;
      if (byte < 0x80) return number;
    }
    broken = true;
    return 0;
  }
  bool at_end() const { return bytes_.empty(); }

  bool broken = false;

 private:
  std::string_view bytes_;
};

Error NoCursor(const char* why) {
  return {ErrorCode::kInvalidArgument, std::string("this is no cursor of a feed: ") + why};
}

std::optional<std::uint64_t> ParseNumber(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) {
    return std::nullopt;
  }
  return number;
}

}  // namespace

std::string FeedPosition::ToString() const {
  return std::to_string(term) + '-' + std::to_string(number);
}

std::optional<FeedPosition> FeedPosition::Parse(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const std::optional<std::uint64_t> term = ParseNumber(text.substr(0, dash));
  const std::optional<std::uint64_t> number = ParseNumber(text.substr(dash + 1));
  if (!term || !number) return std::nullopt;
  return FeedPosition{*term, *number};
}

std::string EncodeCursor(const FeedCursor& cursor) {
  std::vector<std::uint64_t> terms;
  for (const auto& position : cursor) {
    if (position) terms.push_back(position->term);
  }
  std::sort(terms.begin(), terms.end());
  terms.erase(std::unique(terms.begin(), terms.end()), terms.end());

  std::string bytes(1, static_cast<char>(kFormat));
  Put(cursor.size(), bytes);
  Put(terms.size(), bytes);
  std::uint64_t before = 0;
  for (const std::uint64_t term : terms) Put(term - std::exchange(before, term), bytes);
  for (const auto& position : cursor) {
    if (!position) {
      Put(0, bytes);
      continue;
    }
    const auto index = std::lower_bound(terms.begin(), terms.end(), position->term) - terms.begin();
    Put(1 + static_cast<std::uint64_t>(index), bytes);
    Put(position->number, bytes);
  }
  const std::uint32_t sum = Checksum(bytes);
  for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(sum >> shift);
  return ToBase64(bytes);
}

Result<FeedCursor> DecodeCursor(std::string_view text) {
  if (text.size() > kTextBytesMax) return NoCursor("it is too long");
  const std::optional<std::string> decoded = FromBase64(text);
  if (!decoded) return NoCursor("it has other characters than a cursor has");
  std::string_view bytes = *decoded;
  if (bytes.size() <= kChecksumBytes) return NoCursor("it is too short");
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < kChecksumBytes; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[bytes.size() - kChecksumBytes + i]);
    sum |= std::uint32_t{byte} << (8 * i);
  }
  bytes.remove_suffix(kChecksumBytes);
  if (sum != Checksum(bytes)) return NoCursor("a part of it is missing or changed");
  if (static_cast<std::uint8_t>(bytes.front()) != kFormat) {
    return NoCursor("it is of a newer release");
  }
  Taker taker(bytes.substr(1));
  const std::uint64_t partitions = taker.Take();
  const std::uint64_t term_count = taker.Take();
  if (partitions > kSlotCount || term_count > partitions)
    return NoCursor("its sizes make no sense");
  std::vector<std::uint64_t> terms;
  for (std::uint64_t i = 0, term = 0; i < term_count; ++i) terms.push_back(term += taker.Take());
  FeedCursor cursor(partitions);
  for (auto& position : cursor) {
    const std::uint64_t index = taker.Take();
    if (index == 0) continue;
    if (index > terms.size()) return NoCursor("it names a term that it does not have");
    position = FeedPosition{terms[index - 1], taker.Take()};
  }
  if (taker.broken || !taker.at_end()) return NoCursor("its bytes are not those of its sizes");
  return cursor;
}

}  // namespace gyre::client
