// Which other protocol a port speaks, from the first bytes that come from it. Pure.
#pragma once

#include <string>
#include <string_view>

namespace gyre::client {

// As far as they are there.
bool BeginsAsFrame(std::string_view bytes);
// What to tell whoever took the port for one of the native protocol. `bytes` do not begin as a frame
// does.
std::string ForeignProtocol(std::string_view bytes);

}  // namespace gyre::client
