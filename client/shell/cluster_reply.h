// Commands that go to the cluster as they are, in Redis's words, and what it answers.
#pragma once

#include <string>
#include <vector>

#include "client/shell/tool.h"

namespace gyre::client {

// How a reply is shown to a person; programs get its bytes either way.
enum class Shown {
  kAsValue,  // it may be any bytes: what is no plain text is quoted
  kAsText,   // lines for people (INFO)
};

// Runs `name` with the arguments, and prints what the cluster answers. A null answer is "not found".
int RunOnCluster(const ShellContext& shell, const std::string& name,
                 const std::vector<std::string>& arguments, Shown shown = Shown::kAsValue);

}  // namespace gyre::client
