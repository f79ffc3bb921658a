#include "ops/metrics.h"

#include <charconv>
#include <cmath>

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
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  out.append(digits, error == std::errc() ? end : digits);
}

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

void MetricsWriter::Counter(std::string_view name, std::string_view help, std::uint64_t value,
                            const MetricLabels& labels) {
  Head(name, help, "counter");
  Begin(name, "", labels, nullptr);
  text_ += std::to_string(value);
  text_ += '\n';
}

void MetricsWriter::CounterSeconds(std::string_view name, std::string_view help, double value,
                                   const MetricLabels& labels) {
  Head(name, help, "counter");
  Sample(name, "", labels, nullptr, value);
}

void MetricsWriter::Gauge(std::string_view name, std::string_view help, double value,
                          const MetricLabels& labels) {
  Head(name, help, "gauge");
  Sample(name, "", labels, nullptr, value);
}

void MetricsWriter::Histogram(std::string_view name, std::string_view help,
                              const DurationHistogram::Snapshot& histogram,
                              const MetricLabels& labels) {
  Head(name, help, "histogram");
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
    below += histogram.counts[i];
    std::string bound;
    AppendNumber(i < DurationHistogram::kBounds.size() ? Seconds(DurationHistogram::kBounds[i])
                                                       : std::numeric_limits<double>::infinity(),
                 bound);
    const MetricLabel le{"le", bound};
    Sample(name, "_bucket", labels, &le, static_cast<double>(below));
  }
  Sample(name, "_sum", labels, nullptr, Seconds(histogram.sum));
  Sample(name, "_count", labels, nullptr, static_cast<double>(histogram.count));
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
    text_.append(label.first).append("=\"");
    AppendEscaped(label.second, true, text_);
    text_ += '"';
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
