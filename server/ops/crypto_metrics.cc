// What --gossip-key refused, as Prometheus samples.
#include "ops/metrics.h"

namespace gyre {

void WriteCryptoMetrics(const CryptoStats& stats, MetricsWriter& out) {
  const std::pair<std::string_view, std::uint64_t> dropped[] = {
      {"unsealed", stats.datagrams_unsealed},
      {"key", stats.datagrams_foreign},
      {"replay", stats.datagrams_replayed},
      {"clock", stats.datagrams_stale}};
  for (const auto& [reason, count] : dropped) {
    out.Counter("gyre_gossip_refused_total",
                "Gossip datagrams dropped: not sealed, of another key or damaged, received before, "
                "of a new node whose clock differs too much.",
                count, {{"reason", reason}});
  }
  out.Counter("gyre_link_handshakes_total", "Encrypted links set up with other nodes, both ways.",
              stats.handshakes);
  out.Counter("gyre_link_handshakes_failed_total", "Links refused: the other side has another key.",
              stats.handshakes_failed);
  out.Counter("gyre_links_broken_total",
              "Encrypted links closed: a record was damaged, or their key was removed.",
              stats.links_broken);
  out.Counter("gyre_peer_requests_plain_total",
              "Requests of nodes refused because they came without the gossip key.",
              stats.peer_requests_plain);
}

}  // namespace gyre
