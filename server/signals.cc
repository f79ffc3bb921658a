#include "signals.h"

#include <csignal>
#include <string>
#include <utility>

namespace gyre {

Result<std::unique_ptr<Signals>> Signals::Create(EventLoop& loop, std::function<void()> on_stop,
                                                 std::function<void()> on_reload) {
  std::signal(SIGPIPE, SIG_IGN);
  auto signals = std::make_unique<Signals>();
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
    auto watch = std::make_unique<Watch>();
    watch->act = number == SIGHUP ? on_reload : on_stop;
    if (const int failure = uv_signal_init(loop.raw(), &watch->handle); failure != 0) {
      return Fail(ErrorCode::kIo, std::string("cannot watch signals: ") + uv_strerror(failure));
    }
    watch->handle.data = watch.get();
    HandlePtr<Watch> handle(watch.release());
    const int failure = uv_signal_start(
        &handle->handle, [](uv_signal_t* raw, int) { static_cast<Watch*>(raw->data)->act(); },
        number);
    if (failure != 0) {
      return Fail(ErrorCode::kIo, std::string("cannot watch signals: ") + uv_strerror(failure));
    }
    signals->watches_.push_back(std::move(handle));
  }
  return signals;
}

}  // namespace gyre
