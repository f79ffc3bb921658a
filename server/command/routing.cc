#include "command/routing.h"

#include <algorithm>

#include "command/arguments.h"
#include "proto/limits.h"

namespace gyre {

Road ChooseRoad(const RoadFacts& facts) {
  // It would have been executed here, but for the lease (--consistency majority).
  if (facts.role == Role::kOwner) return Road::kWait;
  if (facts.no_forward) return Road::kNotOwner;
  if (facts.owner == kNoMember) return Road::kWait;
  // The view names this node, but it does not have (or no longer has) the role: one of the two is
  // about to change.
  if (facts.owner == facts.self) return Road::kWait;
  // Once its last writes are settled, the view will name the new owner.
  if (facts.role == Role::kHandingOver) return Road::kWait;
  if (facts.redirects) return Road::kMoved;
  if (facts.hops >= kForwardHopsMax) return Road::kNotOwner;
  return Road::kForward;
}

bool MayRepeat(const Command& command, const Request& request) {
  if (command.Is(kReadOnly)) return true;
  if (!command.Is(kRepeatable)) return false;
  if (!command.Is(kUnlessConditional)) return true;
  // The key and what follows it are data; options stand behind them.
  constexpr std::size_t kFirstOption = 3;
  const auto& args = request.args;
  return args.size() <= kFirstOption ||
         std::none_of(args.begin() + kFirstOption, args.end(), [](std::string_view arg) {
           return IsWord(arg, "NX") || IsWord(arg, "XX") || IsWord(arg, "GT") ||
                  IsWord(arg, "LT") || IsWord(arg, "GET");
         });
}

}  // namespace gyre
