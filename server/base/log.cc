#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <utility>

#include "base/log_queue.h"

namespace gyre {
namespace {

// %j in a pattern: the message, escaped for JSON.
class JsonMessageFlag : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string escaped =
        EscapeJson(std::string_view(message.payload.data(), message.payload.size()));
    out.append(escaped.data(), escaped.data() + escaped.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonMessageFlag>();
  }
};

std::unique_ptr<spdlog::formatter> MakeFormatter(const LogOptions& options) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  formatter->add_flag<JsonMessageFlag>('j');
  const std::string node = EscapeJson(options.node);
  if (options.format == LogFormat::kJson) {
    formatter->set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","node":")" + node +
                           R"(","thread":%t,"message":"%j"})");
  } else {
    formatter->set_pattern("%Y-%m-%d %H:%M:%S.%e %-5l " + node + " %v");
  }
  return formatter;
}

std::string_view ViewOf(const spdlog::memory_buf_t& text) { return {text.data(), text.size()}; }

// Formats on the thread that logs, writes on the queue's.
class QueueSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit QueueSink(const LogOptions& options)
      : queue_(STDERR_FILENO, [formatter =
                                   std::shared_ptr(MakeFormatter(options))](std::uint64_t dropped) {
          const std::string text =
              "log lines dropped: their output did not take them lines=" + std::to_string(dropped);
          spdlog::memory_buf_t line;
          formatter->format(spdlog::details::log_msg("gyre", spdlog::level::warn, text), line);
          return std::string(ViewOf(line));
        }) {
    set_formatter_(MakeFormatter(options));
  }

  LogQueue& queue() { return queue_; }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    queue_.Push(ViewOf(line));
  }
  void flush_() override {}

  LogQueue queue_;
};

// Of the default logger, if InitLog made it.
LogQueue* CurrentQueue() {
  const auto& sinks = spdlog::default_logger_raw()->sinks();
  if (sinks.empty()) return nullptr;
  auto* const sink = dynamic_cast<QueueSink*>(sinks.front().get());
  return sink == nullptr ? nullptr : &sink->queue();
}

}  // namespace

std::string EscapeJson(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      escaped += {'\\', c};
    } else if (byte < 0x20) {
      escaped += {'\\', 'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      escaped += c;
    }
  }
  return escaped;
}

Status InitLog(const LogOptions& options) {
  const spdlog::level::level_enum level = spdlog::level::from_str(options.level);
  if (level == spdlog::level::off && options.level != "off") {
    return Fail(ErrorCode::kInvalidArgument,
                "--log-level " + options.level + ": choose trace, debug, info, warn, error or off");
  }
  auto logger = std::make_shared<spdlog::logger>("gyre", std::make_shared<QueueSink>(options));
  logger->set_level(level);
  logger->set_error_handler([](const std::string&) {});  // spdlog's own writes and may wait
  spdlog::set_default_logger(std::move(logger));
  return {};
}

void FlushLog(Duration patience) {
  if (LogQueue* const queue = CurrentQueue()) queue->Flush(patience);
}

std::uint64_t DroppedLogLines() {
  const LogQueue* const queue = CurrentQueue();
  return queue == nullptr ? 0 : queue->dropped();
}

}  // namespace gyre
