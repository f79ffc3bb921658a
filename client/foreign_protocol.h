// Which other protocol a port speaks, from the first bytes that come from it. Pure.
#pragma once

#include <string>
#include <string_view>

namespace gyre::client {

// What to tell whoever took the port for one of the native protocol. BeginsAsFrame(`bytes`)
// is false.
std::string ForeignProtocol(std::string_view bytes);

}  // namespace gyre::client
