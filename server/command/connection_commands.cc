#include "command/connection_commands.h"

#include <algorithm>
#include <optional>
#include <string>

#include "command/arguments.h"
#include "command/messages.h"
#include "command/subcommands.h"
#include "command/version.h"

namespace gyre {
namespace {

void Ping(PlainCall& call) {
  if (call.argument_count() > 2) return call.Fail(WrongArgumentCount("ping"));
  if (call.argument_count() == 2) return call.reply().Bulk(call.arg(1));
  call.reply().Word(Outcome::kPong);
}

void Echo(PlainCall& call) { call.reply().Bulk(call.arg(1)); }

void Quit(PlainCall& call) {
  call.session.close_after_reply = true;
  call.reply().Word(Outcome::kOk);
}

void Select(PlainCall& call) {
  const std::optional<std::int64_t> index = ParseInteger(call.arg(1));
  if (!index) return call.Fail(ErrorCode::kInvalidArgument, "invalid DB index");
  if (*index != 0) {
    return call.Fail(ErrorCode::kInvalidArgument,
                     "DB index is out of range (there is one database, number 0)");
  }
  call.reply().Word(Outcome::kOk);
}

Error NoPassword() {
  return {ErrorCode::kNotAllowed,
          "AUTH <password> called without any password configured for the default user. Are you "
          "sure your configuration is correct?"};
}

void Auth(PlainCall& call) { call.Fail(call.argument_count() > 3 ? SyntaxError() : NoPassword()); }

// ---- Names --------------------------------------------------------------------------------------

// What CLIENT LIST prints must not break its lines and fields.
bool IsPrintableWord(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '!' && c <= '~'; });
}

bool SetName(PlainCall& call, std::string_view name) {
  if (!IsPrintableWord(name)) {
    call.Fail(ErrorCode::kInvalidArgument,
              "Client names cannot contain spaces, newlines or special characters.");
    return false;
  }
  call.services().sessions.Update(call.session, [&](Session& session) { session.name = name; });
  return true;
}

std::string NameOf(PlainCall& call) {
  std::string name;
  call.services().sessions.Update(call.session, [&](Session& session) { name = session.name; });
  return name;
}

// ---- HELLO --------------------------------------------------------------------------------------

void SayHello(PlainCall& call) {
  ReplyWriter& reply = call.reply();
  reply.BeginList(ListShape::kMap, 7);
  reply.Bulk("server");
  reply.Bulk("redis");  // clients choose their dialect by it
  reply.Bulk("version");
  reply.Bulk(kRedisVersion);
  reply.Bulk("proto");
  reply.Integer(call.session.resp_version);
  reply.Bulk("id");
  reply.Integer(static_cast<std::int64_t>(call.session.id));
  reply.Bulk("mode");
  reply.Bulk(call.session.cluster_port ? "cluster" : "standalone");
  reply.Bulk("role");
  reply.Bulk("master");
  reply.Bulk("modules");
  reply.BeginList(ListShape::kArray, 0);
  reply.EndList();
  reply.EndList();
}

// HELLO [version [AUTH user password] [SETNAME name]]
void Hello(PlainCall& call) {
  int version = call.session.resp_version;
  if (call.argument_count() > 1) {
    const std::optional<std::int64_t> wanted = ParseInteger(call.arg(1));
    if (!wanted) {
      return call.Fail(ErrorCode::kInvalidArgument,
                       "Protocol version is not an integer or out of range");
    }
    if (*wanted != 2 && *wanted != 3) {
      return call.Fail(ErrorCode::kInvalidArgument, "NOPROTO unsupported protocol version");
    }
    version = static_cast<int>(*wanted);
  }
  std::optional<std::string_view> name;
  for (std::size_t i = 2; i < call.argument_count(); ++i) {
    if (IsWord(call.arg(i), "AUTH") && i + 2 < call.argument_count()) {
      return call.Fail(NoPassword());
    }
    if (!IsWord(call.arg(i), "SETNAME") || i + 1 >= call.argument_count()) {
      return call.Fail(ErrorCode::kInvalidArgument,
                       "Syntax error in HELLO option '" + std::string(call.arg(i)) + "'");
    }
    name = call.arg(++i);
  }
  if (name && !SetName(call, *name)) return;
  call.session.resp_version = version;
  SayHello(call);
}

void Reset(PlainCall& call) {
  call.session.resp_version = 2;
  call.session.read_from_replicas = false;
  call.services().sessions.Update(call.session, [](Session& session) { session.name.clear(); });
  call.reply().Text("RESET");
}

void ReadOnly(PlainCall& call) {
  call.session.read_from_replicas = true;
  call.reply().Word(Outcome::kOk);
}
void ReadWrite(PlainCall& call) {
  call.session.read_from_replicas = false;
  call.reply().Word(Outcome::kOk);
}

// ---- CLIENT -------------------------------------------------------------------------------------

// One line of CLIENT LIST. The registry's mutex is held.
std::string Describe(const Session& session, UnixMillis now) {
  const auto seconds_since = [now](UnixMillis then) {
    return std::to_string(std::max<UnixMillis>(now - then, 0) / 1000);
  };
  const UnixMillis active = session.last_active_ms.load(std::memory_order_relaxed);
  std::string line = "id=" + std::to_string(session.id);
  line += " addr=" + session.peer_address;
  line += " laddr=" + session.local_address;
  line += " name=" + session.name;
  line += " age=" + seconds_since(session.connected_ms);
  line += " idle=" + seconds_since(active == 0 ? session.connected_ms : active);
  // What a cache has no notion of stands there all the same: clients look for each field.
  line +=
      " flags=N db=0 sub=0 psub=0 multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 obl=0 oll=0 omem=0 "
      "tot-mem=0";
  line += " tot-cmds=" + std::to_string(session.commands.load(std::memory_order_relaxed));
  line += " user=default";
  line += " lib-name=" + session.library_name;
  line += " lib-ver=" + session.library_version;
  return line + "\n";
}

void ClientId(PlainCall& call) { call.reply().Integer(static_cast<std::int64_t>(call.session.id)); }

void ClientSetName(PlainCall& call) {
  if (SetName(call, call.arg(2))) call.reply().Word(Outcome::kOk);
}

void ClientGetName(PlainCall& call) {
  const std::string name = NameOf(call);
  name.empty() ? call.reply().Null() : call.reply().Bulk(name);
}

void ClientSetInfo(PlainCall& call) {
  const bool is_name = IsWord(call.arg(2), "LIB-NAME");
  if (!is_name && !IsWord(call.arg(2), "LIB-VER")) {
    return call.Fail(ErrorCode::kInvalidArgument,
                     "Unrecognized option '" + std::string(call.arg(2)) + "'");
  }
  if (!IsPrintableWord(call.arg(3))) {
    return call.Fail(
        ErrorCode::kInvalidArgument,
        ToLower(call.arg(2)) + " cannot contain spaces, newlines or special characters.");
  }
  call.services().sessions.Update(call.session, [&](Session& session) {
    (is_name ? session.library_name : session.library_version) = call.arg(3);
  });
  call.reply().Word(Outcome::kOk);
}

void ClientInfo(PlainCall& call) {
  std::string line;
  call.services().sessions.Update(
      call.session, [&](Session& session) { line = Describe(session, call.router.now()); });
  call.reply().Bulk(line);
}

// CLIENT LIST [TYPE NORMAL]: all our clients are normal ones.
void ClientList(PlainCall& call) {
  const bool plain = call.argument_count() == 2;
  const bool normal =
      call.argument_count() == 4 && IsWord(call.arg(2), "TYPE") && IsWord(call.arg(3), "NORMAL");
  if (!plain && !normal) return call.Fail(SyntaxError());
  std::string lines;
  call.services().sessions.ForEach(
      [&](const Session& session) { lines += Describe(session, call.router.now()); });
  call.reply().Bulk(lines);
}

// NO-EVICT, NO-TOUCH: what they switch off is not there to be switched.
void ClientSwitch(PlainCall& call) {
  if (!IsWord(call.arg(2), "ON") && !IsWord(call.arg(2), "OFF")) return call.Fail(SyntaxError());
  call.reply().Word(Outcome::kOk);
}

void Client(PlainCall& call) {
  static constexpr Subcommand kSubcommands[] = {
      {"ID", 2, ClientId},           {"SETNAME", 3, ClientSetName}, {"GETNAME", 2, ClientGetName},
      {"SETINFO", 4, ClientSetInfo}, {"INFO", 2, ClientInfo},       {"LIST", -2, ClientList},
      {"NO-EVICT", 3, ClientSwitch}, {"NO-TOUCH", 3, ClientSwitch},
  };
  RunSubcommand(call, kSubcommands);
}

constexpr std::uint32_t kFlags = kFast | kStale;
constexpr std::string_view kGroup = "connection";

// clang-format off
constexpr Command kCommands[] = {
    {"ping", -1, kFlags, kNoKey, kGroup, "1.0.0", "Answers PONG, or its argument.", nullptr, Ping},
    {"echo", 2, kFlags, kNoKey, kGroup, "1.0.0", "Returns its argument.", nullptr, Echo},
    {"hello", -1, kFlags, kNoKey, kGroup, "6.0.0", "Chooses the protocol version.", nullptr, Hello},
    {"auth", -2, kFlags, kNoKey, kGroup, "1.0.0", "Refused: there is no password.", nullptr, Auth},
    {"select", 2, kFlags, kNoKey, kGroup, "1.0.0", "Chooses database 0.", nullptr, Select},
    {"quit", -1, kFlags, kNoKey, kGroup, "1.0.0", "Closes the connection.", nullptr, Quit},
    {"reset", 1, kFlags, kNoKey, kGroup, "6.2.0", "Makes the connection as new.", nullptr, Reset},
    {"readonly", 1, kFlags, kNoKey, "cluster", "3.0.0", "Lets replicas answer this connection's reads.", nullptr, ReadOnly},
    {"readwrite", 1, kFlags, kNoKey, "cluster", "3.0.0", "Undoes READONLY.", nullptr, ReadWrite},
    {"client", -2, kStale, kNoKey, kGroup, "2.4.0", "CLIENT ID, SETNAME, GETNAME, SETINFO, INFO, LIST, NO-EVICT, NO-TOUCH.", nullptr, Client},
};
// clang-format on

}  // namespace

std::span<const Command> ConnectionCommands() { return kCommands; }

}  // namespace gyre
