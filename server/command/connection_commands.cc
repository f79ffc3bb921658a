#include "command/connection_commands.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>

#include "command/arguments.h"
#include "command/binding.h"
#include "command/messages.h"
#include "command/subcommands.h"
#include "command/version.h"

namespace gyre {
namespace connection_commands {
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
  if (!index) return call.Fail(NotAnInteger());
  if (*index < std::numeric_limits<std::int32_t>::min() ||
      *index > std::numeric_limits<std::int32_t>::max()) {
    return call.Fail(ErrorCode::kInvalidArgument,
                     "value is out of range, value must between -2147483648 and 2147483647");
  }
  // Many clients go on after a refusal, and would write into a database that they did not mean.
  call.session.database_refused = *index != 0;
  if (*index != 0) return call.Fail(ErrorCode::kInvalidArgument, "DB index is out of range");
  call.reply().Word(Outcome::kOk);
}

// Whether `user` may come in with any password; if not, the call has failed. There is the default
// user alone, and it has none.
bool Authenticate(PlainCall& call, std::string_view user) {
  if (user == "default") return true;
  call.Fail(ErrorCode::kNotAllowed,
            "WRONGPASS invalid username-password pair or user is disabled.");
  return false;
}

// AUTH [user] password
void Auth(PlainCall& call) {
  if (call.argument_count() > 3) return call.Fail(SyntaxError());
  if (call.argument_count() == 2) {
    return call.Fail(ErrorCode::kNotAllowed,
                     "AUTH <password> called without any password configured for the default user. "
                     "Are you sure your configuration is correct?");
  }
  if (Authenticate(call, call.arg(1))) call.reply().Word(Outcome::kOk);
}

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
  std::optional<std::string_view> user;
  for (std::size_t i = 2; i < call.argument_count(); ++i) {
    if (IsWord(call.arg(i), "AUTH") && i + 2 < call.argument_count()) {
      user = call.arg(i + 1);
      i += 2;
      continue;
    }
    if (!IsWord(call.arg(i), "SETNAME") || i + 1 >= call.argument_count()) {
      return call.Fail(ErrorCode::kInvalidArgument,
                       "Syntax error in HELLO option '" + std::string(call.arg(i)) + "'");
    }
    name = call.arg(++i);
  }
  if (user && !Authenticate(call, *user)) return;
  if (name && !SetName(call, *name)) return;
  call.session.resp_version = version;
  SayHello(call);
}

void Reset(PlainCall& call) {
  call.session.resp_version = 2;
  call.session.read_from_replicas = false;
  call.session.database_refused = false;
  call.session.replies_off = false;
  call.responder.Subscribe(nullptr);
  call.services().sessions.Update(call.session, [](Session& session) { session.name.clear(); });
  call.reply().Text("RESET");
}

void ReadFromReplicas(PlainCall& call, bool from_replicas) {
  if (!call.session.cluster_port) return call.Fail(ClusterDisabled());
  call.session.read_from_replicas = from_replicas;
  call.reply().Word(Outcome::kOk);
}
void ReadOnly(PlainCall& call) { ReadFromReplicas(call, true); }
void ReadWrite(PlainCall& call) { ReadFromReplicas(call, false); }

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
  // No database but one, no channels, no transactions, as each field says.
  line += std::string(" flags=") + (session.subscribed.load(std::memory_order_relaxed) ? "P" : "N");
  line += " db=0 sub=0 psub=0 ssub=0 multi=-1";
  // Arguments lie in the input, replies in one buffer.
  const std::size_t input = session.input_bytes.load(std::memory_order_relaxed);
  const std::size_t input_free = session.input_free_bytes.load(std::memory_order_relaxed);
  const std::size_t output = session.output_bytes.load(std::memory_order_relaxed);
  line += " qbuf=" + std::to_string(input) + " qbuf-free=" + std::to_string(input_free);
  line += " argv-mem=0 multi-mem=0 obl=0 oll=" + std::string(output > 0 ? "1" : "0");
  line += " omem=" + std::to_string(output);
  const std::size_t held = session.memory_bytes.load(std::memory_order_relaxed);
  line +=
      " tot-mem=" + std::to_string(sizeof(Session) + std::max(held, input + input_free + output));
  line += " tot-cmds=" + std::to_string(session.commands.load(std::memory_order_relaxed));
  const std::string_view* const command = session.last_command.load(std::memory_order_relaxed);
  line.append(" cmd=").append(command == nullptr ? std::string_view("NULL") : *command);
  line += " user=default redir=-1";
  line += " resp=" + std::to_string(session.resp_version.load(std::memory_order_relaxed));
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
      call.session, [&](Session& session) { line = Describe(session, call.context().now()); });
  call.reply().Verbatim(line);
}

// Which connections CLIENT LIST shows.
struct ClientFilter {
  bool none = false;                      // a type of which there are no connections
  std::unordered_set<std::uint64_t> ids;  // empty: any
  bool Admits(const Session& session) const {
    return !none && (ids.empty() || ids.count(session.id) > 0);
  }
};

// [TYPE type | ID id...]; all our connections are normal ones. Null where the call has failed.
std::optional<ClientFilter> ReadClientFilter(PlainCall& call) {
  ClientFilter filter;
  if (call.argument_count() == 2) return filter;
  if (call.argument_count() == 4 && IsWord(call.arg(2), "TYPE")) {
    const std::string type = ToUpper(call.arg(3));
    const std::string_view others[] = {"MASTER", "REPLICA", "SLAVE", "PUBSUB"};
    filter.none = std::find(std::begin(others), std::end(others), type) != std::end(others);
    if (filter.none || type == "NORMAL") return filter;
    call.Fail(ErrorCode::kInvalidArgument,
              "Unknown client type '" + std::string(call.arg(3)) + "'");
    return std::nullopt;
  }
  if (call.argument_count() < 4 || !IsWord(call.arg(2), "ID")) {
    call.Fail(SyntaxError());
    return std::nullopt;
  }
  for (std::size_t i = 3; i < call.argument_count(); ++i) {
    const std::optional<std::int64_t> id = ParseInteger(call.arg(i));
    if (!id) {
      call.Fail(ErrorCode::kInvalidArgument, "Invalid client ID");
      return std::nullopt;
    }
    filter.ids.insert(static_cast<std::uint64_t>(*id));
  }
  return filter;
}

// One CLIENT LIST. There may be very many connections, and other loops wait for the registry, too.
class ClientLines : public std::enable_shared_from_this<ClientLines> {
 public:
  ClientLines(PlainCall& call, ClientFilter filter)
      : context_(call.context()), filter_(std::move(filter)), pending_(call.DeferAlone()) {}

  void Step() {
    const UnixMillis now = context_.now();
    next_ = context_.services().sessions.ForEachFrom(next_, kSessionsAtOnce,
                                                     [this, now](const Session& session) {
                                                       if (filter_.Admits(session))
                                                         lines_ += Describe(session, now);
                                                     });
    if (next_ != 0) return context_.NextTurn([self = shared_from_this()] { self->Step(); });
    pending_.writer().Verbatim(lines_);
    pending_.Finish();
  }

 private:
  static constexpr std::size_t kSessionsAtOnce = 128;

  CommandContext& context_;
  const ClientFilter filter_;
  std::uint64_t next_ = 0;
  std::string lines_;
  PendingReply pending_;
};

void ClientList(PlainCall& call) {
  std::optional<ClientFilter> filter = ReadClientFilter(call);
  if (filter) std::make_shared<ClientLines>(call, std::move(*filter))->Step();
}

// ON is answered, OFF and SKIP are not: neither they nor, for SKIP, the next command.
void ClientReply(PlainCall& call) {
  Session& session = call.session;
  if (session.protocol != Protocol::kResp) {
    return call.Fail(ErrorCode::kNotAllowed, "CLIENT REPLY is for RESP connections");
  }
  if (IsWord(call.arg(2), "ON")) {
    session.replies_off = false;
    session.replies_skipped = 0;
  } else if (IsWord(call.arg(2), "OFF")) {
    session.replies_off = true;
  } else if (IsWord(call.arg(2), "SKIP")) {
    if (!session.replies_off) session.replies_skipped = 2;
  } else {
    return call.Fail(SyntaxError());
  }
  call.reply().Word(Outcome::kOk);
}

// NO-EVICT, NO-TOUCH: what they switch off is not there to be switched.
void ClientSwitch(PlainCall& call) {
  if (!IsWord(call.arg(2), "ON") && !IsWord(call.arg(2), "OFF")) return call.Fail(SyntaxError());
  call.reply().Word(Outcome::kOk);
}

// clang-format off
constexpr Binding kBindings[] = {
    Bind("ping", Ping),
    Bind("echo", Echo),
    Bind("hello", Hello),
    Bind("auth", Auth),
    Bind("select", Select),
    Bind("quit", Quit),
    Bind("reset", Reset),
    Bind("readonly", ReadOnly),
    Bind("readwrite", ReadWrite),
    Bind("client", RunSubcommand),
    Bind("client|id", ClientId),
    Bind("client|setname", ClientSetName),
    Bind("client|getname", ClientGetName),
    Bind("client|setinfo", ClientSetInfo),
    Bind("client|info", ClientInfo),
    Bind("client|list", ClientList),
    Bind("client|reply", ClientReply),
    Bind("client|no-evict", ClientSwitch),
    Bind("client|no-touch", ClientSwitch),
    Bind("client|help", SayHelp),
};
// clang-format on

}  // namespace
}  // namespace connection_commands

std::span<const Binding> ConnectionCommands() { return connection_commands::kBindings; }

}  // namespace gyre
