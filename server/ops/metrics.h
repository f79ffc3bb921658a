// Prometheus text exposition format 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/duration_histogram.h"
#include "base/size_histogram.h"
#include "base/statistic.h"

namespace gyre {

using MetricLabel = std::pair<std::string_view, std::string_view>;
using MetricLabels = std::vector<MetricLabel>;

// `name="value"`, escaped.
std::string LabelText(std::string_view name, std::string_view value);

// Writes samples one after the other. Samples of one name must come one after the other (the format
// wants them grouped): HELP and TYPE stand before the first. Not thread-safe.
class MetricsWriter {
 public:
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

  // `name` ends in _total by convention.
  void Counter(std::string_view name, std::string_view help, std::uint64_t value,
               const MetricLabels& labels = {});
  // A counter of time.
  void Seconds(std::string_view name, std::string_view help, Duration value,
               const MetricLabels& labels = {});
  void Gauge(std::string_view name, std::string_view help, double value,
             const MetricLabels& labels = {});
  // A statistic, in the page's units; nothing where it has no name. `labels` stand before its own.
  void Described(const StatText& text, std::uint64_t value, MetricLabels labels = {});
  // `name`_bucket, _sum, _count. `counts` of each bucket, one more than there are bounds.
  void Histogram(std::string_view name, std::string_view help, std::span<const double> bounds,
                 std::span<const std::uint64_t> counts, double sum,
                 const MetricLabels& labels = {});
  // In seconds.
  template <const auto& kBounds>
  void Histogram(std::string_view name, std::string_view help,
                 const DurationCounts<kBounds>& histogram, const MetricLabels& labels = {}) {
    std::array<double, kBounds.size()> bounds;
    for (std::size_t i = 0; i < bounds.size(); ++i) bounds[i] = InSeconds(kBounds[i]);
    Histogram(name, help, bounds, histogram.counts, InSeconds(histogram.sum), labels);
  }
  // In bytes.
  void Histogram(std::string_view name, std::string_view help, const SizeCounts& histogram,
                 const MetricLabels& labels = {});

  std::string Take() { return std::move(text_); }

 private:
  static double InSeconds(Duration duration) {
    return std::chrono::duration<double>(duration).count();
  }
  void Head(std::string_view name, std::string_view help, std::string_view type);
  // Everything of a sample that stands before its value.
  void Begin(std::string_view name, std::string_view suffix, const MetricLabels& labels,
             const MetricLabel* extra);
  void Sample(std::string_view name, std::string_view suffix, const MetricLabels& labels,
              const MetricLabel* extra, double value);

  std::string text_;
  std::string last_name_;
};

// All numbers of one Stats, as its rows describe them.
template <Described Stats>
void WriteStatistics(const Stats& stats, MetricsWriter& out) {
  for (const Statistic<Stats>& row : Stats::kStatistics) {
    out.Described(row.text, stats.*row.field);
  }
}

// The same of each loop, with the label loop="<index>". Samples of one name stand together, so the
// rows go outside.
template <Described Stats>
void WriteStatistics(const std::vector<Stats>& loops, MetricsWriter& out) {
  for (const Statistic<Stats>& row : Stats::kStatistics) {
    for (std::size_t i = 0; i < loops.size(); ++i) {
      const std::string index = std::to_string(i);
      out.Described(row.text, loops[i].*row.field, {{"loop", index}});
    }
  }
}

}  // namespace gyre
