// The file of --gossip-key.
#pragma once

#include <string>
#include <vector>

#include "proto/result.h"
#include "secret/keyring.h"

namespace gyre {

// Its keys. Refused where others than the file's owner and group can read it, or others than its
// owner can write to it; an error is one line that says what to do.
Result<std::vector<GossipKey>> ReadGossipKeyFile(const std::string& path);

}  // namespace gyre
