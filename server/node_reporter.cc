#include "node_reporter.h"

#include "command/command_table.h"
#include "ops/memcached_report.h"
#include "ops/metrics_page.h"
#include "ops/process_stats.h"
#include "ops/rebalance_report.h"
#include "ops/status_report.h"

namespace gyre {

NodeFigures NodeReporter::Figures() const {
  NodeFigures figures;
  figures.storage = node_.engine.stats();
  figures.commands.resize(CommandTable::Get().commands().size());
  for (const auto& worker : node_.workers) {
    figures.server += worker->server_stats();
    const std::vector<CommandCounts> counts = worker->dispatcher().command_stats();
    for (std::size_t i = 0; i < counts.size(); ++i) figures.commands[i] += counts[i];
    figures.loops_busy += worker->busy().sum;
  }
  figures.loops = node_.workers.size();
  return figures;
}

std::vector<HotKey> NodeReporter::ReadHotKeys() {
  const UnixMillis now = UnixNow();
  std::vector<HotKey> all;
  for (const auto& worker : node_.workers) {
    for (HotKey& one : worker->dispatcher().hot_keys(now)) all.push_back(std::move(one));
  }
  return Merge(std::move(all));
}

TrafficByAsker NodeReporter::Traffic() const {
  TrafficByAsker sum;
  for (const auto& worker : node_.workers) {
    const TrafficByAsker one = worker->traffic();
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += one[i];
  }
  return sum;
}

ClientTotals NodeReporter::TotalsOf(const NodeFigures& figures) const {
  const TrafficByAsker traffic = Traffic();
  ClientTotals totals;
  for (const Asker client : {Asker::kNative, Asker::kResp, Asker::kMemcached}) {
    totals.durations += traffic[static_cast<std::size_t>(client)].durations;
  }
  totals.hits = figures.storage.hits;
  totals.misses = figures.storage.misses;
  totals.evicted = figures.storage.evicted;
  totals.loops_busy = figures.loops_busy;
  // What this node asks of others is not counted on its links, but there: taken to be what they ask
  // of it.
  const TrafficCounts& peers = traffic[static_cast<std::size_t>(Asker::kPeer)];
  totals.network_in = figures.server.bytes_in + peers.reply_bytes.sum;
  totals.network_out = figures.server.bytes_out + peers.request_bytes.sum;
  return totals;
}

InfoSource NodeReporter::GatherInfo() {
  InfoSource info{.config = node_.config, .identity = node_.identity, .snapshot = node_.snapshot};
  info.now = UnixNow();
  info.started = started_;
  info.clients = node_.sessions.count();
  info.figures = history_.SinceReset(Figures());
  info.rates = history_.Rates();
  info.used_bytes_peak = history_.UsedBytesPeak(info.figures.storage.bytes_used);
  info.client_memory = node_.client_memory.stats();
  info.resident_bytes = ResidentBytes();
  info.system_bytes = SystemBytes();
  info.usage = UsageOf(RUSAGE_SELF);
  info.usage_of_children = UsageOf(RUSAGE_CHILDREN);
  return info;
}

std::vector<Fields> NodeReporter::Info(std::span<const std::string_view> sections) {
  const InfoSource info = GatherInfo();
  std::vector<Fields> all;
  for (const std::string_view section : sections) all.push_back(InfoFields(info, section));
  return all;
}

std::optional<Fields> NodeReporter::MemcachedStats(std::string_view argument) {
  if (argument.empty()) return MemcachedFields(GatherInfo());
  if (argument == "settings") return MemcachedSettings(node_.config);
  if (argument == "slabs") return MemcachedSlabs(node_.engine.slab_classes());
  if (argument == "items") return Fields{};  // memcached's classes of age are not ours
  if (argument == "sizes") return Fields{{"sizes_status", "disabled"}};
  if (argument == "conns") return MemcachedConnections(node_.sessions, UnixNow());
  return std::nullopt;
}

StatusSource NodeReporter::GatherStatus() {
  StatusSource status{
      .config = node_.config, .identity = node_.identity, .snapshot = node_.snapshot};
  status.version = GYRE_VERSION;
  status.uptime_seconds = (UnixNow() - started_) / 1000;
  status.clients = node_.sessions.count();
  status.resident_bytes = ResidentBytes();
  status.figures = Figures();
  status.recent = recent_.Read(SteadyNow(), TotalsOf(status.figures));
  status.hits = CurveOf(node_.engine.reuse());
  status.network_limit = node_.network_limit;
  if (node_.keys != nullptr) status.gossip_keys = node_.keys->Load()->size();
  status.cluster = node_.runtime.stats();
  status.view = node_.runtime.views().Load();
  status.ring_parameters = node_.parameters.ring_figures();
  return status;
}

std::string NodeReporter::StatusJson() { return gyre::StatusJson(GatherStatus()); }

std::string NodeReporter::OwnStatusJson(bool with_history) {
  if (!with_history) return gyre::OwnStatusJson(GatherStatus(), nullptr);
  const std::vector<FigurePoint> points = minutes_.Points();
  return gyre::OwnStatusJson(GatherStatus(), &points);
}

std::string NodeReporter::RestartCheckJson(const NodeId& node) {
  return gyre::RestartCheckJson(node_.config, node_.runtime.views().Load().get(), node);
}

std::string NodeReporter::AdviceJson() { return JsonText(ToJson(node_.advice.Read())); }

std::string NodeReporter::Metrics(bool ready) const {
  MetricsSource source;
  source.version = GYRE_VERSION;
  source.process = ReadProcessStats();
  source.process.pauses = node_.pause_detector.Pauses(SteadyNow());
  const NodeFigures figures = Figures();
  source.storage = figures.storage;
  source.recent = recent_.Read(SteadyNow(), TotalsOf(figures));
  source.network_limit = node_.network_limit;
  source.advice = node_.advice.Read();
  for (const auto& worker : node_.workers) {
    source.servers.push_back(worker->server_stats());
    source.routers.push_back(worker->dispatcher().router_stats());
    source.busy.push_back(worker->busy());
  }
  source.traffic = Traffic();
  for (const Command& command : CommandTable::Get().commands()) {
    source.command_names.push_back(command.name);
  }
  source.commands = figures.commands;
  source.command_durations.resize(source.commands.size());
  for (const auto& worker : node_.workers) {
    const auto durations = worker->dispatcher().command_durations();
    for (std::size_t i = 0; i < durations.size(); ++i) source.command_durations[i] += durations[i];
  }
  source.client_memory = node_.client_memory.stats();
  source.http_memory_bytes = node_.http_memory.used();
  if (node_.keys != nullptr) source.crypto = node_.keys->stats();
  source.cluster = node_.runtime.stats();
  source.snapshot = node_.snapshot;
  if (node_.ring_file != nullptr) source.ring_file = node_.ring_file->stats();
  if (node_.settings_file != nullptr) source.settings_file = node_.settings_file->stats();
  if (node_.key_hash_file != nullptr) source.key_hash_file = node_.key_hash_file->stats();
  source.ring_parameters = node_.parameters.ring_figures();
  source.ready = ready;
  source.view = node_.runtime.views().Load();
  return MetricsPage(source);
}

}  // namespace gyre
