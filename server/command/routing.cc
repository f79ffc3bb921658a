#include "command/routing.h"

#include <algorithm>

#include "command/arguments.h"
#include "proto/limits.h"

namespace gyre {

Route ChooseRoute(const RouteFacts& facts) {
  // It would have been executed here, but for the lease (--consistency majority).
  if (facts.role == Role::kOwner) return Route::kWait;
  if (facts.no_forward) return Route::kNotOwner;
  if (facts.owner == kNoMember) return Route::kWait;
  // The view names this node, but it does not have (or no longer has) the role: one of the two is
  // about to change.
  if (facts.owner == facts.self) return Route::kWait;
  // Once its last writes are settled, the view will name the new owner.
  if (facts.role == Role::kHandingOver) return Route::kWait;
  if (facts.redirects) return Route::kMoved;
  if (facts.hops >= kForwardHopsMax) return Route::kNotOwner;
  return Route::kForward;
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
