// backup, restore, import, export: which source goes to which sink.
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>

#include "client/shell/backup_folder.h"
#include "client/shell/command_line.h"
#include "client/shell/memcached_entries.h"
#include "client/shell/redis_entries.h"
#include "client/shell/ring_entries.h"
#include "client/shell/server_stream.h"
#include "client/shell/text_entries.h"
#include "client/shell/transfer.h"
#include "client/shell/words.h"

namespace gyre::client {
namespace {

constexpr const char* kTransferGroup = "Operator's commands";
constexpr std::uint16_t kRedisPort = 6379;
constexpr std::uint16_t kMemcachedPort = 11211;
// Standard input or output.
constexpr std::string_view kDash = "-";

struct TransferArguments : Arguments {
  std::string match = "*";
  std::string prefix;
  std::string format;
  std::uint64_t bytes_per_second = 0;
  bool force = false;
  bool if_absent = false;
  bool skip_damaged = false;
  bool skip_bad = false;
  // Of an import or an export, by its word: one of the two.
  std::optional<ServerUrl> url;
  TextFormat text_format = TextFormat::kJsonLines;

  // Of the keys that the source is asked for.
  std::string pattern() const { return prefix.empty() ? match : PatternOfPrefix(prefix); }
  TransferOptions options() const {
    return {.prefix = prefix, .bytes_per_second = bytes_per_second, .output_is_data = false};
  }
};

// ---- Options ------------------------------------------------------------------------------------

void AddMatch(CLI::App& command, TransferArguments& arguments) {
  auto* const match = command.add_option("--match", arguments.match, "Only these keys: * ? [abc]")
                          ->capture_default_str();
  command.add_option("--prefix", arguments.prefix, "Only keys that begin so")->excludes(match);
}

void AddPrefix(CLI::App& command, TransferArguments& arguments) {
  command.add_option("--prefix", arguments.prefix, "Only keys that begin so");
}

void AddPace(CLI::App& command, TransferArguments& arguments) {
  command
      .add_option("--limit", arguments.bytes_per_second,
                  "Bytes of keys and values a second: 500KB, 20MB; without it: as fast as it goes")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false));
}

void AddIfAbsent(CLI::App& command, TransferArguments& arguments) {
  command.add_flag("--if-absent", arguments.if_absent,
                   "Leave keys that are there as they are. Without it they are overwritten: the "
                   "ring then has what the source has, and other keys stay");
}

void AddFormat(CLI::App& command, TransferArguments& arguments) {
  command
      .add_option("--format", arguments.format,
                  "json (an object a line) or csv; without it by the name: .json .jsonl .ndjson "
                  ".csv")
      ->check(CLI::IsMember({"json", "csv"}));
}

// ---- Words --------------------------------------------------------------------------------------

// What is wrong with the place that the word names; "": nothing, and it is in `arguments`.
std::string TakePlace(TransferArguments& arguments) {
  const std::string& word = arguments.words[0];
  if (auto url = ParseServerUrl(word, kRedisPort, kMemcachedPort)) {
    if (!*url) return url->error().message;
    if (!arguments.format.empty()) return "--format is for files, not for servers";
    arguments.url = **url;
    return "";
  }
  static const std::map<std::string, TextFormat> kFormats = {{"json", TextFormat::kJsonLines},
                                                             {"jsonl", TextFormat::kJsonLines},
                                                             {"ndjson", TextFormat::kJsonLines},
                                                             {"csv", TextFormat::kCsv}};
  const std::size_t dot = word.rfind('.');
  std::string format = arguments.format;
  if (format.empty() && dot != std::string::npos) format = ToLower(word.substr(dot + 1));
  const auto known = kFormats.find(format);
  if (known == kFormats.end()) {
    return "what is in '" + word + "'? say --format json or --format csv";
  }
  arguments.text_format = known->second;
  return "";
}

Error SystemFailure(const std::string& doing, const std::string& path) {
  return {ErrorCode::kIo, "cannot " + doing + " " + path + ": " + std::strerror(errno)};
}

// ---- backup, restore ----------------------------------------------------------------------------

int Backup(const ShellContext& shell, const TransferArguments& arguments) {
  TransferCounts counts;
  const auto writer =
      BackupWriter::Create(arguments.words[0], arguments.force, arguments.pattern(), counts);
  if (!writer) return shell.Report(writer.error());
  RingReader reader(shell.client, shell.call, arguments.pattern(), counts);
  return RunTransfer(shell, reader, **writer, counts, arguments.options());
}

// Everything is read before anything is stored, so that a backup that is damaged does nothing.
int Restore(const ShellContext& shell, const TransferArguments& arguments) {
  TransferCounts counts;
  const auto reader = BackupReader::Open(arguments.words[0], arguments.skip_damaged, counts);
  if (!reader) return shell.Report(reader.error());
  if (!arguments.skip_damaged) {
    if (const std::optional<Error> damage = (*reader)->Verify()) return shell.Report(*damage);
  }
  RingWriter writer(shell.client, shell.call, arguments.if_absent, counts);
  return RunTransfer(shell, **reader, writer, counts, arguments.options());
}

// ---- import -------------------------------------------------------------------------------------

int ImportText(const ShellContext& shell, const TransferArguments& arguments, std::istream& in,
               std::uint64_t bytes) {
  TransferCounts counts;
  const auto reader =
      TextReader::Make(arguments.text_format, in, bytes, arguments.skip_bad, counts);
  RingWriter writer(shell.client, shell.call, arguments.if_absent, counts);
  return RunTransfer(shell, *reader, writer, counts, arguments.options());
}

int ImportFile(const ShellContext& shell, const TransferArguments& arguments) {
  const std::string& path = arguments.words[0];
  if (path == kDash) {
    if (shell.in == nullptr) {
      return shell.Report({ErrorCode::kInvalidArgument,
                           "standard input has the commands here: import a file instead"});
    }
    return ImportText(shell, arguments, *shell.in, 0);
  }
  struct stat status {};
  std::ifstream in(path, std::ios::binary);
  if (!in || stat(path.c_str(), &status) != 0) return shell.Report(SystemFailure("read", path));
  if (S_ISDIR(status.st_mode)) {
    return shell.Report(
        {ErrorCode::kInvalidArgument, path + " is a folder; of a backup: gyre restore " + path});
  }
  return ImportText(shell, arguments, in, static_cast<std::uint64_t>(status.st_size));
}

template <typename Reader>
int ImportFrom(const ShellContext& shell, const TransferArguments& arguments, const Reader& reader,
               TransferCounts& counts) {
  if (!reader) return shell.Report(reader.error());
  RingWriter writer(shell.client, shell.call, arguments.if_absent, counts);
  return RunTransfer(shell, **reader, writer, counts, arguments.options());
}

int Import(const ShellContext& shell, const TransferArguments& arguments) {
  if (!arguments.url) return ImportFile(shell, arguments);
  TransferCounts counts;
  if (arguments.url->scheme == "redis") {
    return ImportFrom(shell, arguments,
                      RedisReader::Open(*arguments.url, arguments.pattern(), counts), counts);
  }
  return ImportFrom(shell, arguments, MemcachedReader::Open(*arguments.url, counts), counts);
}

// ---- export -------------------------------------------------------------------------------------

int ExportText(const ShellContext& shell, const TransferArguments& arguments,
               TextWriter::Target target) {
  TransferCounts counts;
  TransferOptions options = arguments.options();
  options.output_is_data = arguments.words[0] == kDash;
  const auto writer = TextWriter::Make(arguments.text_format, std::move(target), counts);
  RingReader reader(shell.client, shell.call, arguments.pattern(), counts);
  return RunTransfer(shell, reader, *writer, counts, options);
}

// Into path.new, which gets its name once it is whole. What is there and no plain file (a pipe, a
// device) is written to as it is.
int ExportFile(const ShellContext& shell, const TransferArguments& arguments) {
  const std::string& path = arguments.words[0];
  struct stat status {};
  const bool there = stat(path.c_str(), &status) == 0;
  const bool plain = !there || S_ISREG(status.st_mode);
  if (there && plain && !arguments.force) {
    return shell.Report({ErrorCode::kInvalidArgument,
                         path + " is there already: take another name, or --force to replace it"});
  }
  const std::string new_path = plain ? path + ".new" : path;
  std::ofstream out(new_path, std::ios::binary | std::ios::trunc);
  if (!out) return shell.Report(SystemFailure("create", new_path));
  const auto finish = [&]() -> std::optional<Error> {
    out.close();
    if (!out) return SystemFailure("write", new_path);
    if (!plain) return std::nullopt;
    if (std::optional<Error> error = SyncPath(new_path)) return error;
    if (std::rename(new_path.c_str(), path.c_str()) != 0) return SystemFailure("rename", new_path);
    return std::nullopt;
  };
  const auto abandon = [&] {
    out.close();
    if (plain) (void)std::remove(new_path.c_str());
  };
  return ExportText(shell, arguments, {out, new_path, finish, abandon});
}

template <typename Writer>
int ExportTo(const ShellContext& shell, const TransferArguments& arguments, const Writer& writer,
             TransferCounts& counts) {
  if (!writer) return shell.Report(writer.error());
  RingReader reader(shell.client, shell.call, arguments.pattern(), counts);
  return RunTransfer(shell, reader, **writer, counts, arguments.options());
}

int Export(const ShellContext& shell, const TransferArguments& arguments) {
  if (!arguments.url) {
    if (arguments.words[0] != kDash) return ExportFile(shell, arguments);
    const auto nothing = [] {};
    return ExportText(
        shell, arguments,
        {shell.out, "standard output", [] { return std::optional<Error>(); }, nothing});
  }
  TransferCounts counts;
  if (arguments.url->scheme == "redis") {
    return ExportTo(shell, arguments, RedisWriter::Open(*arguments.url, counts), counts);
  }
  return ExportTo(shell, arguments, MemcachedWriter::Open(*arguments.url, counts), counts);
}

}  // namespace

void AddTransferCommands(CommandLine& line) {
  line.Add<TransferArguments>(
      {"backup", "FOLDER",
       "Writes all records of the ring, which goes on serving, into a folder: values, flags, "
       "expiries",
       kTransferGroup},
      [](CLI::App& command, TransferArguments& arguments) {
        AddMatch(command, arguments);
        AddPace(command, arguments);
        command.add_flag("--force", arguments.force, "Replace the backup that is in the folder");
      },
      Backup);
  line.Add<TransferArguments>(
      {"restore", "FOLDER",
       "Stores what a backup has into a ring of any size, which goes on serving; what has expired "
       "meanwhile is left out",
       kTransferGroup},
      [](CLI::App& command, TransferArguments& arguments) {
        AddIfAbsent(command, arguments);
        AddPrefix(command, arguments);
        AddPace(command, arguments);
        command.add_flag("--skip-damaged", arguments.skip_damaged,
                         "Leave damaged blocks out and count them, instead of refusing the backup");
      },
      Restore);
  line.Add<TransferArguments>(
      {"import", "SOURCE",
       "Stores the records of redis://[user:password@]host[:port][/database], "
       "memcached://host[:port], a file, or - (standard input)",
       kTransferGroup},
      [](CLI::App& command, TransferArguments& arguments) {
        AddFormat(command, arguments);
        AddIfAbsent(command, arguments);
        AddPrefix(command, arguments);
        AddPace(command, arguments);
        command.add_flag("--skip-bad", arguments.skip_bad,
                         "Leave bad lines out and count them, instead of ending at the first");
      },
      Import, TakePlace);
  line.Add<TransferArguments>(
      {"export", "TARGET",
       "Writes all records to redis://[user:password@]host[:port][/database], "
       "memcached://host[:port], a file, or - (standard output)",
       kTransferGroup},
      [](CLI::App& command, TransferArguments& arguments) {
        AddFormat(command, arguments);
        AddMatch(command, arguments);
        AddPace(command, arguments);
        command.add_flag("--force", arguments.force, "Replace the file that is there");
      },
      Export, TakePlace);
}

}  // namespace gyre::client
