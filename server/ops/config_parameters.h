// CONFIG: gyred's options (config_options.h) by their own names, and what clients and tools of Redis
// read and set by theirs. A parameter can be set to what it is; to something else only where that
// takes effect.
//
// The value of an option that may change while the node runs has three layers; the last that says
// something counts:
//
//   started with   the default, the file, the environment or a flag of this node
//   ring           what the ring says, the same to all nodes (the setting "config/<option>"), for good
//   set            CONFIG SET at this node, until it is taken back (CONFIG UNSET) or the node restarts
//
// What the ring says and this node cannot take (another release, another bound) is logged once, shown,
// and has no effect.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "command/admin.h"
#include "common/mutex.h"
#include "ops/config.h"
#include "settings/settings.h"

namespace gyre {

struct Option;

// Of the names of settings of the ring that are options.
inline constexpr std::string_view kConfigPrefix = "config/";

// Of the parameters that the ring sets, those that this node cannot take, and those that CONFIG SET
// overrides here.
struct RingParameterFigures {
  std::size_t refused = 0;
  std::size_t overridden = 0;
};

// Any thread.
class ConfigParameters final : public NodeSettings {
 public:
  // `config`: what the node runs with; `sources`: where that comes from.
  explicit ConfigParameters(const Config& config, ConfigSources sources = {})
      : base_(config), sources_(std::move(sources)), config_(config) {}

  // Called with all that counts now, whenever some of it changed; set before others know this. It must
  // not block, nor call back.
  std::function<void(const Config&)> on_change;

  // What counts now.
  Config Now() const;
  // The ring's settings, as they are now.
  void TakeRing(const SettingsMap& settings);
  RingParameterFigures ring_figures() const;

  Fields ConfigGet(std::string_view pattern) override;
  Status ConfigSet(const Changes& changes) override;
  Status ConfigUnset(std::span<const std::string_view> names) override;
  Result<std::vector<SettingChange>> RingConfigSet(const Changes& changes) override;
  Result<std::vector<SettingChange>> RingConfigUnset(
      std::span<const std::string_view> names) override;
  std::string RingConfigJson(std::string_view pattern) override;
  std::string ConfigSourcesJson(std::string_view pattern) override;

 private:
  struct RingValue {
    std::string text;
    SettingStamp stamp;
    const Option* option = nullptr;  // null: there is none here
    std::string trouble;             // why it has no effect; empty: it could have one

    friend bool operator==(const RingValue&, const RingValue&) = default;
  };

  // Puts the layers together, and makes what changed count.
  void Settle() GYRE_REQUIRES(mutex_);
  ConfigSource SourceOf(const Option& option) const GYRE_REQUIRES(mutex_);

  const Config base_;
  const ConfigSources sources_;
  mutable Mutex mutex_;
  std::map<std::string, RingValue> ring_ GYRE_GUARDED_BY(mutex_);  // by option
  std::uint64_t ring_digest_ GYRE_GUARDED_BY(mutex_) = 0;
  std::map<const Option*, std::string> set_ GYRE_GUARDED_BY(mutex_);
  Config config_ GYRE_GUARDED_BY(mutex_);
};

}  // namespace gyre
