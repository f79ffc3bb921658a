// Bytes that nobody can foresee.
#pragma once

#include <cstddef>
#include <string>

namespace gyre {

std::string RandomBytes(std::size_t count);

}  // namespace gyre
