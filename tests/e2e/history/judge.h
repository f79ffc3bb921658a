// Reads every key through every node and lets the checker judge what it finds.
#pragma once

#include <string>
#include <vector>

#include "e2e/history/journal.h"
#include "gyre/client.h"

namespace gyre::e2e {

// `blocks`: keys of one hash tag, each block read by one MGET.
// Blocks. Requires that no write is under way. A read that has no answer is tried again for a
// while, and then a violation.
void ReadAll(client::Client& client, const std::vector<std::string>& nodes,
             const std::vector<std::string>& keys,
             const std::vector<std::vector<std::string>>& blocks, Journal& journal);

}  // namespace gyre::e2e
