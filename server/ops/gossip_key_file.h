// The file of --gossip-key.
#pragma once

#include <string>
#include <vector>

#include "crypto/keyring.h"
#include "proto/result.h"

namespace gyre {

// Its keys. A file of this process's user is refused where anybody else can use it, one of root
// where others than its group can read it; an error is one line that says what to do.
Result<std::vector<GossipKey>> ReadGossipKeyFile(const std::string& path);

}  // namespace gyre
