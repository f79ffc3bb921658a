// What protozero does not do for bytes that come from the network.
#pragma once

#include <protozero/pbf_reader.hpp>

namespace gyre {

// pbf_reader::get_bool looks at the value's first byte before it knows that there is one: a message
// that ends behind the tag would be read beyond its end. This throws protozero::exception instead,
// as the other getters do.
inline bool GetBool(protozero::pbf_reader& message) { return message.get_uint64() != 0; }

}  // namespace gyre
