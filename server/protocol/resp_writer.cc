#include "protocol/resp_writer.h"

#include <cassert>
#include <cstdint>
#include <limits>

#include "protocol/ascii.h"

namespace gyre {
namespace {

// Type byte, number, CR LF.
constexpr std::size_t kHeaderBytesMax = 1 + kIntegerTextMax + 2;

// The first words of Redis error messages that mean something to its clients. A message of a
// command that begins with one is final; others get the word of their code.
constexpr std::string_view kErrorWords[] = {
    "ERR",        "WRONGTYPE",   "NOAUTH",   "NOPROTO",        "NOSCRIPT", "WRONGPASS", "NOPERM",
    "EXECABORT",  "BUSY",        "LOADING",  "MASTERDOWN",     "READONLY", "MISCONF",   "MOVED",
    "ASK",        "CROSSSLOT",   "TRYAGAIN", "CLUSTERDOWN",    "OOM",      "BUSYKEY",   "BUSYGROUP",
    "NOREPLICAS", "NOGOODSLAVE", "INPROG",   "UNKNOWNOUTCOME", "TIMEOUT",  "DENIED",    "NOTBUSY",
};

bool HasErrorWord(std::string_view message) {
  if (message.empty() || message.front() < 'A' || message.front() > 'Z') return false;
  const std::string_view word = message.substr(0, message.find(' '));
  for (const std::string_view known : kErrorWords) {
    if (word == known) return true;
  }
  return false;
}

std::string_view ErrorPrefix(ErrorCode code) {
  switch (code) {
    case ErrorCode::kMoved:
      return "MOVED ";
    case ErrorCode::kCrossSlot:
      return "CROSSSLOT ";
    case ErrorCode::kUnavailable:
      return "CLUSTERDOWN ";
    case ErrorCode::kOutOfMemory:
      return "OOM ";
    case ErrorCode::kTooFewReplicas:
      return "NOREPLICAS ";
    case ErrorCode::kUnknownOutcome:
      return "UNKNOWNOUTCOME ";
    case ErrorCode::kTimeout:
      return "TIMEOUT ";
    default:
      return "ERR ";
  }
}

}  // namespace

void RespWriter::Raw(std::string_view bytes) {
  Put(out_->Prepare(bytes.size()), bytes);
  out_->Commit(bytes.size());
}

void RespWriter::Header(char type, std::uint64_t number) {
  char* const begin = out_->Prepare(kHeaderBytesMax);
  *begin = type;
  char* const at = Put(PutInteger(begin + 1, number), kCrLf);
  out_->Commit(static_cast<std::size_t>(at - begin));
}

void RespWriter::Null() { Raw(resp3() ? "_\r\n" : "$-1\r\n"); }

void RespWriter::Word(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOk:
    case Outcome::kStored:
    case Outcome::kDeleted:
    case Outcome::kTouched:
      return Raw("+OK\r\n");
    case Outcome::kPong:
      return Raw("+PONG\r\n");
    case Outcome::kNotStored:
    case Outcome::kExists:
    case Outcome::kNotFound:
      return Null();
  }
}

void RespWriter::Text(std::string_view line) {
  const std::size_t bytes = 1 + line.size() + kCrLf.size();
  char* const begin = out_->Prepare(bytes);
  *begin = '+';
  Put(PutOneLine(begin + 1, line), kCrLf);
  out_->Commit(bytes);
}

void RespWriter::Bulk(std::string_view bytes) {
  char* const begin = out_->Prepare(kHeaderBytesMax + bytes.size() + kCrLf.size());
  *begin = '$';
  char* at = Put(PutInteger(begin + 1, bytes.size()), kCrLf);
  at = Put(Put(at, bytes), kCrLf);
  out_->Commit(static_cast<std::size_t>(at - begin));
}

void RespWriter::Verbatim(std::string_view text) {
  if (!resp3()) return Bulk(text);
  constexpr std::string_view kFormat = "txt:";
  Header('=', kFormat.size() + text.size());
  Raw(kFormat);
  Raw(text);
  Raw(kCrLf);
}

void RespWriter::Integer(std::int64_t value) {
  char* const begin = out_->Prepare(kHeaderBytesMax);
  *begin = ':';
  char* const at = Put(PutInteger(begin + 1, value), kCrLf);
  out_->Commit(static_cast<std::size_t>(at - begin));
}

void RespWriter::Unsigned(std::uint64_t value) {
  if (value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return Header(':', value);
  }
  // Integers of RESP are signed: beyond them RESP3 has "big numbers", RESP2 only text.
  if (resp3()) return Header('(', value);
  char text[kIntegerTextMax];
  Bulk({text, static_cast<std::size_t>(PutInteger(text, value) - text)});
}

void RespWriter::Double(double value) {
  char text[kDoubleTextMax];
  const std::string_view digits(text, static_cast<std::size_t>(PutDouble(text, value) - text));
  if (!resp3()) return Bulk(digits);
  char* const begin = out_->Prepare(1 + digits.size() + kCrLf.size());
  *begin = ',';
  Put(Put(begin + 1, digits), kCrLf);
  out_->Commit(1 + digits.size() + kCrLf.size());
}

void RespWriter::Boolean(bool value) {
  if (resp3()) return Raw(value ? "#t\r\n" : "#f\r\n");
  Raw(value ? ":1\r\n" : ":0\r\n");
}

void RespWriter::Fail(const Error& error) {
  const std::string_view prefix =
      HasErrorWord(error.message) ? std::string_view() : ErrorPrefix(error.code);
  const std::size_t bytes = 1 + prefix.size() + error.message.size() + kCrLf.size();
  char* const begin = out_->Prepare(bytes);
  *begin = '-';
  Put(PutOneLine(Put(begin + 1, prefix), error.message), kCrLf);
  out_->Commit(bytes);
}

void RespWriter::BeginList(ListShape shape, std::size_t count) {
  switch (shape) {
    case ListShape::kArray:
      return Header('*', count);
    case ListShape::kMap:
      return resp3() ? Header('%', count) : Header('*', 2 * count);
    case ListShape::kSet:
      return Header(resp3() ? '~' : '*', count);
  }
}

void RespWriter::BeginRecord(const RecordHead& head) {
  char* const begin = out_->Prepare(kHeaderBytesMax + head.value_bytes + kCrLf.size());
  *begin = '$';
  char* const at = Put(PutInteger(begin + 1, head.value_bytes), kCrLf);
  out_->Commit(static_cast<std::size_t>(at - begin));
}

void RespWriter::Chunk(std::string_view bytes) { Raw(bytes); }

void RespWriter::EndRecord() { Raw(kCrLf); }

void RespWriter::Peer(std::string_view) {
  assert(false && "peer requests come by the native protocol only");
  Fail({ErrorCode::kInternal, "a node's reply was sent to a RESP client"});
}

}  // namespace gyre
