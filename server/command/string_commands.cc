#include "command/string_commands.h"

#include <optional>
#include <utility>

#include "command/arguments.h"
#include "command/expiry_argument.h"
#include "command/keyed_call.h"
#include "command/messages.h"
#include "command/record_reply.h"

namespace gyre {
namespace {

void Get(KeyedCall& call) { SayRecordOrNull(call.Find(), call.reply); }

// ---- SET ----------------------------------------------------------------------------------------

struct SetOptions {
  bool if_absent = false;
  bool if_present = false;
  bool return_old = false;
  bool keep_expiry = false;
  UnixMillis expiry_ms = kNeverExpires;
};

Result<SetOptions> ParseSetOptions(const KeyedCall& call) {
  SetOptions options;
  bool has_expiry = false;
  for (std::size_t i = 3; i < call.args.size(); ++i) {
    const std::string_view word = call.arg(i);
    if (IsWord(word, "NX") && !options.if_present) {
      options.if_absent = true;
    } else if (IsWord(word, "XX") && !options.if_absent) {
      options.if_present = true;
    } else if (IsWord(word, "GET")) {
      options.return_old = true;
    } else if (IsWord(word, "KEEPTTL") && !has_expiry) {
      options.keep_expiry = true;
    } else if (const auto form = ExpiryFormOf(word);
               form && !has_expiry && !options.keep_expiry && i + 1 < call.args.size()) {
      Result<UnixMillis> expiry = ParseExpiry(call.arg(++i), *form, call.now, "set");
      if (!expiry) return tl::unexpected(std::move(expiry.error()));
      options.expiry_ms = *expiry;
      has_expiry = true;
    } else {
      return tl::unexpected(SyntaxError());
    }
  }
  return options;
}

// What was there, kept because storing replaces it. Nothing if there was nothing.
class OldValue {
 public:
  OldValue(KeyedCall& call, const Record& old) : call_(call), existed_(old) {
    if (existed_) old.AppendValueTo(call.scratch);
  }
  void Say() const { existed_ ? call_.reply.Bulk(call_.scratch.view()) : call_.reply.Null(); }

 private:
  KeyedCall& call_;
  bool existed_;
};

void SetWithOptions(KeyedCall& call) {
  const Result<SetOptions> options = ParseSetOptions(call);
  if (!options) return call.Fail(options.error());
  const Record old = call.Find();
  const bool refused = (options->if_absent && old) || (options->if_present && !old);
  if (refused) {
    if (options->return_old) return SayRecordOrNull(old, call.reply);
    return call.reply.Null();
  }
  const UnixMillis expiry = options->keep_expiry && old ? old.expiry_ms() : options->expiry_ms;
  if (!options->return_old) {
    if (call.Store(call.arg(2), expiry)) call.reply.Word(Outcome::kOk);
    return;
  }
  const OldValue answer(call, old);
  if (call.Store(call.arg(2), expiry)) answer.Say();
}

void Set(KeyedCall& call) {
  if (call.args.size() > 3) return SetWithOptions(call);
  if (call.Store(call.arg(2), kNeverExpires)) call.reply.Word(Outcome::kOk);
}

void SetWithExpiry(KeyedCall& call, ExpiryForm form, std::string_view name) {
  const Result<UnixMillis> expiry = ParseExpiry(call.arg(2), form, call.now, name);
  if (!expiry) return call.Fail(expiry.error());
  if (call.Store(call.arg(3), *expiry)) call.reply.Word(Outcome::kOk);
}
void SetEx(KeyedCall& call) { SetWithExpiry(call, {.seconds = true}, "setex"); }
void PSetEx(KeyedCall& call) { SetWithExpiry(call, {.seconds = false}, "psetex"); }

void SetNx(KeyedCall& call) {
  if (call.Find()) return call.reply.Integer(0);
  if (call.Store(call.arg(2), kNeverExpires)) call.reply.Integer(1);
}

// One pair of MSET or MSETNX.
void SetPair(KeyedCall& call) {
  const std::string_view value = call.args[call.key_index + 1];
  if (call.Store(value, kNeverExpires)) call.reply.Word(Outcome::kOk);
}

// ---- GET with a change --------------------------------------------------------------------------

void GetSet(KeyedCall& call) {
  const OldValue old(call, call.Find());
  if (call.Store(call.arg(2), kNeverExpires)) old.Say();
}

void GetDel(KeyedCall& call) {
  const Record record = call.Find();
  SayRecordOrNull(record, call.reply);
  call.Remove();
}

// The new expiry that GETEX's options ask for; nothing if they ask for none.
Result<std::optional<UnixMillis>> ParseGetExOptions(const KeyedCall& call) {
  if (call.args.size() == 2) return std::optional<UnixMillis>();
  if (call.args.size() == 3 && IsWord(call.arg(2), "PERSIST")) {
    return std::optional<UnixMillis>(kNeverExpires);
  }
  const auto form = ExpiryFormOf(call.arg(2));
  if (call.args.size() != 4 || !form) return tl::unexpected(SyntaxError());
  Result<UnixMillis> expiry = ParseExpiry(call.arg(3), *form, call.now, "getex");
  if (!expiry) return tl::unexpected(std::move(expiry.error()));
  return std::optional<UnixMillis>(*expiry);
}

void GetEx(KeyedCall& call) {
  const auto wanted = ParseGetExOptions(call);
  if (!wanted) return call.Fail(wanted.error());
  const Record record = call.Find();
  if (!record || !*wanted || **wanted == record.expiry_ms()) {
    return SayRecordOrNull(record, call.reply);
  }
  SayAndExpire(call, record, **wanted);
}

void StrLen(KeyedCall& call) {
  const Record record = call.Find();
  call.reply.Integer(record ? static_cast<std::int64_t>(record.value_bytes()) : 0);
}

constexpr KeyPositions kPairs{1, -1, 2};
constexpr std::uint32_t kWriteTwice = kWrite | kRepeatable;
constexpr std::string_view kGroup = "string";

// clang-format off
constexpr Command kCommands[] = {
    {"get", 2, kReadOnly | kFast, kFirstArgument, kGroup, "1.0.0", "Returns the value of a key.", Get},
    {"set", -3, kWriteTwice | kUnlessConditional, kFirstArgument, kGroup, "1.0.0", "Sets the value of a key, with options for expiry and conditions.", Set},
    {"setex", 4, kWriteTwice, kFirstArgument, kGroup, "2.0.0", "Sets the value of a key and its expiry in seconds.", SetEx},
    {"psetex", 4, kWriteTwice, kFirstArgument, kGroup, "2.6.0", "Sets the value of a key and its expiry in milliseconds.", PSetEx},
    {"setnx", 3, kWrite | kFast, kFirstArgument, kGroup, "1.0.0", "Sets the value of a key that does not exist.", SetNx},
    {"getset", 3, kWrite | kFast, kFirstArgument, kGroup, "1.0.0", "Sets the value of a key and returns the old one.", GetSet},
    {"getdel", 2, kWrite | kFast, kFirstArgument, kGroup, "6.2.0", "Returns the value of a key and removes it.", GetDel},
    {"getex", -2, kWriteTwice | kFast, kFirstArgument, kGroup, "6.2.0", "Returns the value of a key and sets its expiry.", GetEx},
    {"mget", -2, kReadOnly | kFast, kAllArguments, kGroup, "1.0.0", "Returns the values of several keys.", Get, nullptr, Fold::kArray},
    {"mset", -3, kWriteTwice, kPairs, kGroup, "1.0.1", "Sets the values of several keys.", SetPair, nullptr, Fold::kAllOk},
    {"msetnx", -3, kWrite, kPairs, kGroup, "1.0.1", "Sets the values of several keys if none of them exists.", SetPair, nullptr, Fold::kAtomic},
    {"strlen", 2, kReadOnly | kFast, kFirstArgument, kGroup, "2.2.0", "Returns the length of a value.", StrLen},
};
// clang-format on

}  // namespace

std::span<const Command> StringCommands() { return kCommands; }

}  // namespace gyre
