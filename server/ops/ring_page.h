// The metrics of a whole ring on one page: those of each node, with a label that names it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "control/page_survey.h"

namespace gyre {

// Each sample of each page gets the label node="<name>"; what several pages have stands together
// under one HELP and TYPE, the first page's. gyre_node_up says who answered. Nodes of one name are
// told apart by the beginning of their ids. Lines that are neither samples nor what stands above
// them are left out.
std::string RingPage(std::span<const NodePage> pages);

}  // namespace gyre
