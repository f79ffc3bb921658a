// What protozero does not do: bytes that come from the network, and fields appended to a string
// without a writer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <protozero/pbf_reader.hpp>
#include <protozero/varint.hpp>
#include <string>
#include <string_view>

namespace gyre {

// pbf_reader::get_bool looks at the value's first byte before it knows that there is one: a message
// that ends behind the tag would be read beyond its end. This throws protozero::exception instead,
// as the other getters do.
inline bool GetBool(protozero::pbf_reader& message) { return message.get_uint64() != 0; }

inline void AppendVarint(std::uint64_t value, std::string& out) {
  std::array<char, protozero::max_varint_length> bytes{};
  const int count = protozero::add_varint_to_buffer(bytes.data(), value);
  out.append(bytes.data(), static_cast<std::size_t>(count));
}

// A field: `tag`, the length of `bytes`, and they.
inline void AppendBytes(std::uint32_t tag, std::string_view bytes, std::string& out) {
  AppendVarint(tag, out);
  AppendVarint(bytes.size(), out);
  out.append(bytes);
}

}  // namespace gyre
