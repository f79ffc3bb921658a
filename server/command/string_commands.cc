#include "command/string_commands.h"

#include <optional>
#include <utility>

#include "command/arguments.h"
#include "command/binding.h"
#include "command/expiry_argument.h"
#include "command/keyed_call.h"
#include "command/messages.h"
#include "command/record_reply.h"

namespace gyre {
namespace string_commands {
namespace {

void Get(KeyedCall& call) { SayRecordOrNull(call.Find(), call.reply); }

// ---- SET ----------------------------------------------------------------------------------------

// An expiry as it was asked for. Redis reads its number late: another mistake is told first.
struct AskedExpiry {
  ExpiryForm form;
  std::string_view number;
};

struct SetOptions {
  bool if_absent = false;
  bool if_present = false;
  bool return_old = false;
  bool keep_expiry = false;
  UnixMillis expiry_ms = kNeverExpires;
};

// The same form may be given twice, the later number counts; two forms are a mistake.
bool MayFollow(const std::optional<AskedExpiry>& asked, ExpiryForm form) {
  return !asked || asked->form == form;
}

Result<SetOptions> ParseSetOptions(const KeyedCall& call) {
  SetOptions options;
  std::optional<AskedExpiry> asked;
  for (std::size_t i = 3; i < call.args.size(); ++i) {
    const std::string_view word = call.arg(i);
    if (IsWord(word, "NX") && !options.if_present) {
      options.if_absent = true;
    } else if (IsWord(word, "XX") && !options.if_absent) {
      options.if_present = true;
    } else if (IsWord(word, "GET")) {
      options.return_old = true;
    } else if (IsWord(word, "KEEPTTL") && !asked) {
      options.keep_expiry = true;
    } else if (const auto form = ExpiryFormOf(word); form && MayFollow(asked, *form) &&
                                                     !options.keep_expiry &&
                                                     i + 1 < call.args.size()) {
      asked = AskedExpiry{*form, call.arg(++i)};
    } else {
      return tl::unexpected(SyntaxError());
    }
  }
  if (asked) {
    Result<UnixMillis> expiry = ParseExpiry(asked->number, asked->form, call.now, "set");
    if (!expiry) return tl::unexpected(std::move(expiry.error()));
    options.expiry_ms = *expiry;
  }
  return options;
}

// What was there, kept because storing replaces it. Nothing if there was nothing.
class OldValue {
 public:
  OldValue(KeyedCall& call, const RecordView& old) : call_(call), existed_(old) {
    if (!existed_) return;
    call.reply.Reserve(old.value_bytes());
    old.AppendValueTo(call.scratch);
  }
  void Say() const { existed_ ? call_.reply.Bulk(call_.scratch.view()) : call_.reply.Null(); }

 private:
  KeyedCall& call_;
  bool existed_;
};

void SetWithOptions(KeyedCall& call) {
  const Result<SetOptions> options = ParseSetOptions(call);
  if (!options) return call.Fail(options.error());
  const RecordView old = options->return_old ? call.Find() : call.FindToChange();
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
  if (call.FindToChange()) return call.reply.Integer(0);
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
  const RecordView record = call.Find();
  SayRecordOrNull(record, call.reply);
  call.Remove();
}

struct GetExOptions {
  bool persist = false;
  std::optional<AskedExpiry> asked;
};

Result<GetExOptions> ParseGetExOptions(const KeyedCall& call) {
  GetExOptions options;
  for (std::size_t i = 2; i < call.args.size(); ++i) {
    const auto form = ExpiryFormOf(call.arg(i));
    if (IsWord(call.arg(i), "PERSIST") && !options.asked) {
      options.persist = true;
    } else if (form && MayFollow(options.asked, *form) && !options.persist &&
               i + 1 < call.args.size()) {
      options.asked = AskedExpiry{*form, call.arg(++i)};
    } else {
      return tl::unexpected(SyntaxError());
    }
  }
  return options;
}

void GetEx(KeyedCall& call) {
  const Result<GetExOptions> options = ParseGetExOptions(call);
  if (!options) return call.Fail(options.error());
  const RecordView record = call.Find();
  if (!record) {
    call.reply.Null();
    const auto expiry = options->asked ? ParseExpiry(options->asked->number, options->asked->form,
                                                     call.now, "getex")
                                       : Result<UnixMillis>(kNeverExpires);
    if (expiry && *expiry != kNeverExpires && *expiry <= call.now) call.Remove();
    return;
  }
  UnixMillis wanted = options->persist ? kNeverExpires : record.expiry_ms();
  if (options->asked) {
    const auto expiry =
        ParseExpiry(options->asked->number, options->asked->form, call.now, "getex");
    if (!expiry) return call.Fail(expiry.error());
    wanted = *expiry;
  }
  if (wanted == record.expiry_ms()) return SayRecord(record, call.reply);
  SayAndExpire(call, record, wanted);
}

void StrLen(KeyedCall& call) {
  const RecordView record = call.Find();
  call.reply.Integer(record ? static_cast<std::int64_t>(record.value_bytes()) : 0);
}

// clang-format off
constexpr Binding kBindings[] = {
    Bind("get", Get),
    Bind("set", Set),
    Bind("setex", SetEx),
    Bind("psetex", PSetEx),
    Bind("setnx", SetNx),
    Bind("getset", GetSet),
    Bind("getdel", GetDel),
    Bind("getex", GetEx),
    Bind("mget", Get),
    Bind("mset", SetPair),
    Bind("msetnx", SetPair),
    Bind("strlen", StrLen),
};
// clang-format on

}  // namespace
}  // namespace string_commands

std::span<const Binding> StringCommands() { return string_commands::kBindings; }

}  // namespace gyre
