#include "ops/agent_check.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "protocol/ascii.h"

namespace gyre {
namespace {

constexpr int kStepPercent = 10;

}  // namespace

std::string AgentLine(const AgentState& state) {
  if (state.leaves) return "drain\n";
  if (!state.not_ready.empty()) {
    std::string reason(state.not_ready.size(), ' ');
    PutOneLine(reason.data(), state.not_ready);  // a line ends the description
    return "down#" + reason + "\n";
  }
  const double idle = std::clamp(1 - state.busy_ratio, 0.0, 1.0);
  const int steps = std::max(1, static_cast<int>(std::lround(idle * 100 / kStepPercent)));
  return "ready up " + std::to_string(steps * kStepPercent) + "%\n";
}

void AgentAskers::Told(TimePoint now, const std::string& ip, bool leaves) {
  std::erase_if(askers_, [now](const auto& each) { return now - each.second.asked_at >= kKept; });
  if (askers_.size() >= kAskersMax && !askers_.contains(ip)) return;
  Asker& asker = askers_[ip];
  asker.asked_at = now;
  if (!leaves) {
    asker.knows_since.reset();
  } else if (!asker.knows_since) {
    asker.knows_since = now;
  }
}

bool AgentAskers::AllKnow(TimePoint now) const {
  return std::all_of(askers_.begin(), askers_.end(), [now](const auto& each) {
    const Asker& asker = each.second;
    return (asker.knows_since && now - *asker.knows_since >= kUntilHeeded) ||
           now - asker.asked_at >= kKept;
  });
}

Result<std::unique_ptr<AgentPort>> AgentPort::Open(EventLoop& loop, const std::string& host,
                                                   std::uint16_t port,
                                                   std::function<AgentState()> state) {
  std::unique_ptr<AgentPort> agent(new AgentPort());
  auto listener =
      Listener::Open(loop, host, port, "--agent-port", /*pause_detector=*/nullptr, agent->errors_,
                     [agent = agent.get(), state = std::move(state)](
                         int file, const SocketAddress& asker, std::uint32_t) {
                       const AgentState now = state();
                       const std::string text = AgentLine(now);

                       (void)send(file, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
                       // What it sent is read, else closing would reset the connection, and the line might be lost.
                       char ignored[256];
                       (void)recv(file, ignored, sizeof ignored, MSG_DONTWAIT);
                       close(file);
                       agent->askers_.Told(SteadyNow(), asker.ip(), now.leaves);
                     });
  if (!listener) return tl::unexpected(listener.error());
  agent->listener_ = std::move(*listener);
  return agent;
}

}  // namespace gyre
