#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

#include "base/log_queue.h"

namespace gyre {
namespace {

std::atomic<LogFormat> format = LogFormat::kText;

// As a JSON string, with the quotes. Bytes that are not UTF-8 are replaced.
std::string Quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Text that stands for itself in a pattern of spdlog.
std::string InPattern(std::string_view text) {
  std::string escaped;
  for (const char c : text) escaped.append(c == '%' ? 2 : 1, c);
  return escaped;
}

// Words that need no quotes to be read as one value.
bool IsPlain(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > ' ' && byte != 0x7f && byte != '"' && byte != '=' && byte != '\\';
  });
}

std::string ValueText(const LogField::Value& value, LogFormat format) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    return format == LogFormat::kText && IsPlain(*text) ? *text : Quoted(*text);
  }
  return std::visit([](const auto& each) { return nlohmann::json(each).dump(); }, value);
}

// Whatever somebody else's error message holds.
std::string OneLine(std::string_view text) {
  std::string line(text);
  std::replace_if(
      line.begin(), line.end(),
      [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, ' ');
  return line;
}

// What a line says behind what all lines have.
std::string Payload(std::string_view message, const LogFields& fields, LogFormat format) {
  const bool json = format == LogFormat::kJson;
  std::string line = json ? "\"message\":" + Quoted(message) : OneLine(message);
  for (const LogField& field : fields) {
    line += json ? ",\"" : " ";
    line += field.name;
    line += json ? "\":" : "=";
    line += ValueText(field.value, format);
  }
  return line;
}

// The message and the fields come as the %v of the pattern: see Payload.
std::unique_ptr<spdlog::formatter> MakeFormatter(const LogOptions& options) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  if (options.format == LogFormat::kJson) {
    formatter->set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","node":)" +
                           InPattern(Quoted(options.node)) + R"(,"thread":%t,%v})");
  } else {
    formatter->set_pattern("%Y-%m-%d %H:%M:%S.%e %-5l " + InPattern(options.node) + " %v");
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
          const std::string text = Payload("log lines dropped: their output did not take them",
                                           {{"lines", dropped}}, format.load());
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

spdlog::level::level_enum LevelOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

void Write(LogLevel level, std::string_view message, const LogFields& fields) noexcept {
  spdlog::logger& logger = *spdlog::default_logger_raw();
  if (!logger.should_log(LevelOf(level))) return;
  try {
    const std::string payload = Payload(message, fields, format.load(std::memory_order_relaxed));
    logger.log(LevelOf(level), spdlog::string_view_t(payload.data(), payload.size()));
  } catch (const std::exception&) {  // no memory for a line: it is not said
  }
}

}  // namespace

Status InitLog(const LogOptions& options) {
  auto logger = std::make_shared<spdlog::logger>("gyre", std::make_shared<QueueSink>(options));
  logger->set_error_handler([](const std::string&) {});  // spdlog's own writes and may wait
  format.store(options.format);
  spdlog::set_default_logger(std::move(logger));
  return SetLogLevel(options.level);
}

Status SetLogLevel(std::string_view name) {
  const spdlog::level::level_enum level = spdlog::level::from_str(std::string(name));
  if (level == spdlog::level::off && name != "off") {
    return Fail(ErrorCode::kInvalidArgument, "--log-level " + std::string(name) +
                                                 ": choose trace, debug, info, warn, error or off");
  }
  spdlog::default_logger_raw()->set_level(level);
  return {};
}

std::string ToText(const LogEvent& event) {
  return Payload(event.message, event.fields, LogFormat::kText);
}

bool IsLogged(LogLevel level) { return spdlog::default_logger_raw()->should_log(LevelOf(level)); }

void LogDebug(std::string_view message, const LogFields& fields) noexcept {
  Write(LogLevel::kDebug, message, fields);
}
void LogInfo(std::string_view message, const LogFields& fields) noexcept {
  Write(LogLevel::kInfo, message, fields);
}
void LogWarn(std::string_view message, const LogFields& fields) noexcept {
  Write(LogLevel::kWarn, message, fields);
}
void LogError(std::string_view message, const LogFields& fields) noexcept {
  Write(LogLevel::kError, message, fields);
}
void Log(const LogEvent& event) noexcept { Write(event.level, event.message, event.fields); }

void FlushLog(Duration patience) {
  if (LogQueue* const queue = CurrentQueue()) queue->Flush(patience);
}

std::uint64_t DroppedLogLines() {
  const LogQueue* const queue = CurrentQueue();
  return queue == nullptr ? 0 : queue->dropped();
}

}  // namespace gyre
