// Ctrl-C in the shell ends the command that runs, not the shell.
#pragma once

namespace gyre::client {

// It was pressed since the command began: what goes on by itself (a scan, a measurement) ends.
// Requests in flight are ended without its help.
bool Interrupted();

}  // namespace gyre::client
