#include "client/shell/support_bundle.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <sstream>
#include <utility>
#include <vector>

#include "client/shell/cluster_picture.h"
#include "client/shell/doctor.h"
#include "client/shell/http_get.h"
#include "client/shell/tar_archive.h"
#include "client/shell/words.h"

namespace gyre::client {
namespace {

constexpr std::chrono::milliseconds kHttpPatience{2000};
constexpr char kRedacted[] = "(redacted)";

constexpr char kReadme[] =
    "What gyre support-bundle gathered, as JSON where nothing else is said.\n"
    "\n"
    "  status.json          the verdict, and what the node that was asked says of the ring\n"
    "  doctor.json          what gyre doctor found\n"
    "  errors.txt           what could not be gathered\n"
    "  nodes/NAME/          of each node: its status, INFO, parameters, /metrics, and whether it\n"
    "                       may be restarted\n"
    "\n"
    "There are no keys and no values in it. Parameters that may be secrets are redacted. There "
    "are\n"
    "names and addresses of nodes.\n";

// "n 1/../x" names no file.
std::string FileName(const std::string& name) {
  std::string safe;
  for (const char c : name) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' ||
                       (c == '.' && !safe.empty());
    safe += plain ? c : '_';
  }
  constexpr std::size_t kNameBytesMax = 40;
  return safe.empty() ? "_" : safe.substr(0, kNameBytesMax);
}

std::string DefaultFile(std::time_t now) {
  std::tm time{};
  gmtime_r(&now, &time);
  char text[64];
  std::strftime(text, sizeof text, "gyre-support-%Y%m%d-%H%M%S.tar.gz", &time);
  return text;
}

std::string Lines(const Json& document) {
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

class Gathering {
 public:
  Gathering(const ShellContext& shell, std::time_t now)
      : shell_(shell), archive_(static_cast<std::uint64_t>(now)) {}

  // The bytes of the file.
  Result<std::string> Run() {
    const Result<ClusterPicture> picture = AskCluster(shell_);
    if (!picture) return picture.error();
    archive_.Add("README.txt", kReadme);
    Json status = ToJson(Judge(picture->status));
    status["gathered_by"] = "gyre " GYRE_VERSION;
    status["asked"] = picture->asked;
    archive_.Add("status.json", Lines(status));
    std::ostringstream doctor;
    ShellContext inner = shell_.With(doctor, errors_);
    inner.json = true;
    Doctor(inner, {});
    archive_.Add("doctor.json", doctor.str());
    const std::vector<NodeStatus>& nodes = picture->status.nodes;
    const auto infos = AskEach(shell_, nodes, {"INFO", "everything"});
    const auto configs = AskEach(shell_, nodes, {"CONFIG", "GET", "*"});
    const Json members = picture->asked.value("members", Json::array());
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      AddNode(nodes[i], picture->answers[i], infos[i], configs[i], members);
    }
    const std::string errors = errors_.str();
    archive_.Add("errors.txt", errors.empty() ? "none\n" : errors);
    return archive_.Finish();
  }

 private:
  void AddNode(const NodeStatus& node, const Json& own, const std::optional<Value>& info,
               const std::optional<Value>& config, const Json& members) {
    const std::string folder = "nodes/" + FileName(node.name) + "/";
    Json status = ToJson(node);
    if (!node.error.empty()) status["error"] = node.error;
    status["own"] = own;
    archive_.Add(folder + "status.json", Lines(status));
    if (!node.serves()) return Miss(node, "it is " + node.state);
    if (info) {
      archive_.Add(folder + "info.txt", info->text);
    } else {
      Miss(node, "INFO: no answer");
    }
    if (config) {
      Json parameters = Json::object();
      for (const auto& [name, value] : ReadConfig(*config)) {
        const bool hide = IsSecretParameter(name) && !value.empty();
        parameters[name] = hide ? kRedacted : value;
      }
      archive_.Add(folder + "config.json", Lines(parameters));
    } else {
      Miss(node, "CONFIG GET: no answer");
    }
    const Result<Json> check =
        ReadDocument(shell_.client.Execute({"RESTARTCHECK", node.id}, shell_.call));
    check ? archive_.Add(folder + "restart-check.json", Lines(*check))
          : Miss(node, "RESTARTCHECK: " + check.error().message);
    AddMetrics(node, folder, members);
  }

  void AddMetrics(const NodeStatus& node, const std::string& folder, const Json& members) {
    for (const Json& member : members) {
      if (!member.is_object() || member.value("id", "") != node.id) continue;
      const Json port = member.value("http_port", Json());
      if (!port.is_number_unsigned() || port == 0 || port > 65535) {
        return Miss(node, "/metrics: its HTTP port is off");
      }
      const Result<std::string> page =
          HttpGet(member.value("host", ""), port.get<std::uint16_t>(), "/metrics", kHttpPatience);
      return page ? archive_.Add(folder + "metrics.txt", *page)
                  : Miss(node, "/metrics: " + page.error().message);
    }
  }

  void Miss(const NodeStatus& node, const std::string& what) {
    errors_ << node.name << ": " << what << "\n";
  }

  const ShellContext& shell_;
  TarArchive archive_;
  std::ostringstream errors_;
};

// Readable by its owner alone, and never over another file.
std::optional<Error> WriteNewFile(const std::string& path, std::string_view bytes) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (file < 0) {
    return Error{ErrorCode::kIo, path + ": " + std::strerror(errno) +
                                     (errno == EEXIST ? "; name another file" : "")};
  }
  while (!bytes.empty()) {
    const ssize_t count = write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  const bool closed = close(file) == 0;
  if (bytes.empty() && closed) return std::nullopt;
  const Error error{ErrorCode::kIo, path + ": " + std::strerror(errno)};
  unlink(path.c_str());
  return error;
}

}  // namespace

bool IsSecretParameter(std::string_view name) {
  const std::string lower = ToLower(name);
  for (const char* word : {"pass", "secret", "token", "auth", "key", "credential"}) {
    if (lower.find(word) != std::string::npos) return true;
  }
  return false;
}

int SupportBundle(const ShellContext& shell, const BundleArguments& arguments) {
  const std::time_t now = std::time(nullptr);
  const std::string path = arguments.words.empty() ? DefaultFile(now) : arguments.words[0];
  const Result<std::string> bundle = Gathering(shell, now).Run();
  if (!bundle) return shell.Report(bundle.error());
  if (const std::optional<Error> failed = WriteNewFile(path, *bundle)) {
    return shell.Report(*failed);
  }
  if (shell.json) {
    shell.PrintJson({{"file", path}, {"bytes", bundle->size()}});
  } else {
    shell.out << path << ": " << bundle->size()
              << " bytes; no keys, values or secrets are in it, but names and addresses of nodes\n";
  }
  return kExitDone;
}

}  // namespace gyre::client
