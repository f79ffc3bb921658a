#include "ops/metrics.h"

#include <charconv>
#include <cmath>
#include <limits>

namespace gyre {
namespace {

void AppendEscaped(std::string_view text, bool quotes, std::string& out) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

void AppendNumber(double value, std::string& out) {
  if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
    return;
  }
  char digits[32];
  // 0.0001 rather than 1e-04, as other exporters write it: bounds of buckets are compared as text.
  const bool shortish = std::abs(value) >= 1e-4 && std::abs(value) < 1;
  const auto [end, error] =
      shortish ? std::to_chars(digits, digits + sizeof digits, value, std::chars_format::fixed)
               : std::to_chars(digits, digits + sizeof digits, value);
  out.append(digits, error == std::errc() ? end : digits);
}

// How many of the unit are one of the page's.
double PartsOf(StatUnit unit) {
  switch (unit) {
    case StatUnit::kMilliseconds:
    case StatUnit::kPermille:
      return 1e3;
    case StatUnit::kNanoseconds:
      return 1e9;
    case StatUnit::kNone:
    case StatUnit::kBytes:
    case StatUnit::kSeconds:
      break;
  }
  return 1;
}

}  // namespace

std::string LabelText(std::string_view name, std::string_view value) {
  std::string text(name);
  text += "=\"";
  AppendEscaped(value, true, text);
  text += '"';
  return text;
}

void MetricsWriter::Counter(std::string_view name, std::string_view help, std::uint64_t value,
                            const MetricLabels& labels) {
  Head(name, help, "counter");
  Begin(name, "", labels, nullptr);
  text_ += std::to_string(value);
  text_ += '\n';
}

void MetricsWriter::Seconds(std::string_view name, std::string_view help, Duration value,
                            const MetricLabels& labels) {
  Head(name, help, "counter");
  Sample(name, "", labels, nullptr, InSeconds(value));
}

void MetricsWriter::Gauge(std::string_view name, std::string_view help, double value,
                          const MetricLabels& labels) {
  Head(name, help, "gauge");
  Sample(name, "", labels, nullptr, value);
}

void MetricsWriter::Described(const StatText& text, std::uint64_t value, MetricLabels labels) {
  if (text.name.empty()) return;
  if (!text.label.empty()) labels.emplace_back(text.label, text.label_value);
  const bool counter = text.kind == StatKind::kCounter;
  const double parts = PartsOf(text.unit);
  if (counter && parts == 1) return Counter(text.name, text.help, value, labels);
  Head(text.name, text.help, counter ? "counter" : "gauge");
  Sample(text.name, "", labels, nullptr, static_cast<double>(value) / parts);
}

void MetricsWriter::Histogram(std::string_view name, std::string_view help,
                              std::span<const double> bounds, std::span<const std::uint64_t> counts,
                              double sum, const MetricLabels& labels) {
  Head(name, help, "histogram");
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    below += counts[i];
    std::string bound;
    AppendNumber(i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity(), bound);
    const MetricLabel le{"le", bound};
    Sample(name, "_bucket", labels, &le, static_cast<double>(below));
  }
  Sample(name, "_sum", labels, nullptr, sum);
  // As the last bucket has it: a reader must not find two different numbers.
  Sample(name, "_count", labels, nullptr, static_cast<double>(below));
}

void MetricsWriter::Histogram(std::string_view name, std::string_view help,
                              const SizeCounts& histogram, const MetricLabels& labels) {
  std::array<double, SizeCounts::kBoundCount> bounds;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    bounds[i] = static_cast<double>(SizeCounts::BoundOf(i));
  }
  Histogram(name, help, bounds, histogram.counts, static_cast<double>(histogram.sum), labels);
}

void MetricsWriter::Head(std::string_view name, std::string_view help, std::string_view type) {
  if (name == last_name_) return;
  last_name_ = name;
  text_.append("# HELP ").append(name).append(" ");
  AppendEscaped(help, false, text_);
  text_.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
}

void MetricsWriter::Begin(std::string_view name, std::string_view suffix,
                          const MetricLabels& labels, const MetricLabel* extra) {
  text_.append(name).append(suffix);
  char separator = '{';
  const auto add = [this, &separator](const MetricLabel& label) {
    text_ += separator;
    text_ += LabelText(label.first, label.second);
    separator = ',';
  };
  for (const MetricLabel& label : labels) add(label);
  if (extra != nullptr) add(*extra);
  if (separator == ',') text_ += '}';
  text_ += ' ';
}

void MetricsWriter::Sample(std::string_view name, std::string_view suffix,
                           const MetricLabels& labels, const MetricLabel* extra, double value) {
  Begin(name, suffix, labels, extra);
  AppendNumber(value, text_);
  text_ += '\n';
}

}  // namespace gyre
