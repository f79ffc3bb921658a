// Finds a name, in any case, among those that are known when this is compiled: a perfect hash, so
// that a lookup is one hash of at most three words, one load and one comparison, without a copy.
//
// A name of at most 24 bytes is the words at its begin, its end and, above 16 bytes, in between; they
// overlap where it is shorter than they are. Bit 5 tells an upper case letter from a lower case one:
// the hash sets it in each byte, the comparison where the name that is known has a letter.
//
// Slots are an eighth of the names' number squared: then one seed in e^4 or better is without a
// collision, and the compiler finds it at once. It makes 4 KiB for 100 names and 64 KiB for 400, of
// which a lookup reads one line.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace gyre {

// A name, in lower case, and what Find answers.
struct NumberedName {
  std::string_view name;
  std::uint16_t number = 0;
};

template <std::size_t kNames>
class NameIndex {
 public:
  static constexpr std::size_t kNameBytesMax = 24;
  static constexpr std::uint16_t kNone = 0xffff;

  // The names differ, and none is empty.
  consteval explicit NameIndex(const std::array<NumberedName, kNames>& names) {
    for (std::size_t i = 0; i < kNames; ++i) {
      const auto [name, number] = names[i];
      if (name.empty() || name.size() > kNameBytesMax) throw "a name of 1 to 24 bytes";
      std::array<char, kNameBytesMax> letters{};
      for (std::size_t at = 0; at < name.size(); ++at) {
        letters[at] = name[at] >= 'a' && name[at] <= 'z' ? kLowerCaseBit : '\0';
      }
      entries_[i + 1] = {.name = Fold(name),
                         .letters = Fold({letters.data(), name.size()}),
                         .bytes = name.size(),
                         .number = number};
    }
    while (!TrySeed()) {
      if (++seed_ == kSeedsMax) throw "is a name there twice?";
    }
  }

  // The number of the name; kNone if it is not there.
  constexpr std::uint16_t Find(std::string_view name) const {
    if (name.empty() || name.size() > kNameBytesMax) return kNone;
    const Words words = Fold(name);
    const Entry& entry = entries_[slots_[SlotOf(words, name.size())]];
    return entry.Is(words, name.size()) ? entry.number : kNone;
  }

 private:
  static constexpr char kLowerCaseBit = '\x20';
  static constexpr std::size_t kSlots = std::bit_ceil(std::max(kNames * kNames / 8, 2 * kNames));
  static constexpr std::uint64_t kSeedsMax = 1000;

  struct Words {
    std::uint64_t first = 0;
    std::uint64_t middle = 0;
    std::uint64_t last = 0;
  };

  struct alignas(64) Entry {
    constexpr bool Is(const Words& other, std::size_t other_bytes) const {
      return bytes == other_bytes && name.first == (other.first | letters.first) &&
             name.last == (other.last | letters.last) &&
             name.middle == (other.middle | letters.middle);
    }

    Words name;
    Words letters;  // bit 5 where the name has one
    std::size_t bytes = 0;
    std::uint16_t number = kNone;
  };

  // So many bytes as they lie in memory, at compile time as well.
  template <std::size_t kBytes>
  static constexpr std::uint64_t Load(const char* at) {
    std::uint64_t word = 0;
    if (!std::is_constant_evaluated()) {
      std::memcpy(&word, at, kBytes);
      return word;
    }
    for (std::size_t i = 0; i < kBytes; ++i) {
      const std::size_t place = std::endian::native == std::endian::little ? i : 7 - i;
      word |= std::uint64_t{static_cast<std::uint8_t>(at[i])} << (8 * place);
    }
    return word;
  }

  static constexpr Words Fold(std::string_view name) {
    const char* const at = name.data();
    const std::size_t bytes = name.size();
    Words words;
    if (bytes >= 8) {
      words.first = Load<8>(at);
      words.last = Load<8>(at + bytes - 8);
      if (bytes > 16) words.middle = Load<8>(at + 8);
    } else if (bytes >= 4) {
      words.first = Load<4>(at);
      words.last = Load<4>(at + bytes - 4);
    } else {
      words.first = Load<1>(at) | Load<1>(at + bytes / 2) << 8 | Load<1>(at + bytes - 1) << 16;
    }
    return words;
  }

  // The same for all cases of a name. Others may fall on its slot: Entry::Is tells them apart.
  constexpr std::size_t SlotOf(const Words& words, std::size_t bytes) const {
    constexpr std::uint64_t kLowerCase = 0x2020202020202020ULL;
    std::uint64_t mixed = (words.first | kLowerCase) * 0x9e3779b97f4a7c15ULL;
    mixed ^= ((words.last | kLowerCase) + (words.middle | kLowerCase) + seed_ + bytes) *
             0xbf58476d1ce4e5b9ULL;
    mixed ^= mixed >> 29;
    mixed *= 0x94d049bb133111ebULL;
    return mixed >> (64 - std::countr_zero(kSlots));
  }

  consteval bool TrySeed() {
    for (std::size_t i = 1; i <= kNames; ++i) {
      std::uint16_t& slot = slots_[SlotOf(entries_[i].name, entries_[i].bytes)];
      if (slot != 0) {
        while (--i > 0) slots_[SlotOf(entries_[i].name, entries_[i].bytes)] = 0;
        return false;
      }
      slot = static_cast<std::uint16_t>(i);
    }
    return true;
  }

  // [0] is what an empty slot names: of no bytes, so that nothing is found there.
  std::array<Entry, kNames + 1> entries_{};
  std::array<std::uint16_t, kSlots> slots_{};
  std::uint64_t seed_ = 0;
};

}  // namespace gyre
