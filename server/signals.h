// SIGTERM and SIGINT as callbacks on a loop; SIGPIPE is ignored.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <vector>

#include "net/event_loop.h"
#include "net/handle.h"
#include "proto/result.h"

namespace gyre {

class Signals {
 public:
  // `on_stop` is called for each SIGTERM or SIGINT.
  static Result<std::unique_ptr<Signals>> Create(EventLoop& loop, std::function<void()> on_stop);

 private:
  struct Watch {
    uv_signal_t handle{};
    std::function<void()> on_stop;
  };

  std::vector<HandlePtr<Watch>> watches_;
};

}  // namespace gyre
