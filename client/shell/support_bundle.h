// `gyre support-bundle`: what somebody who helps from afar asks for, in one file: how the ring and
// each node stand and how they are configured. No keys, no values, no secrets.
#pragma once

#include <string>
#include <string_view>

#include "client/shell/command_line.h"

namespace gyre::client {

struct BundleArguments : Arguments {};  // nothing, or the file to write

int SupportBundle(const ShellContext& shell, const BundleArguments& arguments);

// Whether the value of a parameter may be a secret.
bool IsSecretParameter(std::string_view name);

}  // namespace gyre::client
