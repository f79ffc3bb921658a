#include "client/shell/text_entries.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include "client/shell/printer.h"
#include "client/shell/words.h"
#include "proto/limits.h"

namespace gyre::client {
namespace {

constexpr std::string_view kBase64Name = "base64";
// As SetOptions has it: so that no sum with the time of day overflows.
constexpr std::int64_t kTextTtlMaxMs = std::int64_t{365} * 24 * 3600 * 1000 * 1000;

using Wrong = std::optional<std::string>;

// What both formats say of a record.
struct TextRecord {
  std::string key;
  std::string value;
  std::optional<std::int64_t> ttl_ms;
  std::uint64_t flags = 0;
  std::string encoding;
};

Wrong ToEntry(TextRecord record, Entry& entry) {
  if (record.encoding == kBase64Name) {
    for (std::string* const bytes : {&record.key, &record.value}) {
      std::optional<std::string> decoded = DecodeBase64(*bytes);
      if (!decoded) return "\"" + bytes->substr(0, 32) + "\" is no base64";
      *bytes = *std::move(decoded);
    }
  } else if (!record.encoding.empty()) {
    return "the encoding is base64 or left out, not \"" + record.encoding.substr(0, 32) + "\"";
  }
  if (record.key.size() > kKeyBytesMax) {
    return "the key has " + std::to_string(record.key.size()) +
           " bytes: " + std::to_string(kKeyBytesMax) + " is the most";
  }
  if (record.ttl_ms && (*record.ttl_ms <= 0 || *record.ttl_ms > kTextTtlMaxMs)) {
    return "ttl_ms is from 1 to 1000 years; left out: it never expires";
  }
  if (record.flags > std::numeric_limits<std::uint32_t>::max()) return "flags has 32 bits at most";
  entry.key = std::move(record.key);
  entry.value = std::move(record.value);
  entry.flags = static_cast<std::uint32_t>(record.flags);
  entry.expiry_ms = record.ttl_ms ? UnixNow() + *record.ttl_ms : 0;
  return std::nullopt;
}

// ---- JSON lines -------------------------------------------------------------------------------

class JsonLinesReader final : public TextReader {
 public:
  JsonLinesReader(std::istream& in, std::uint64_t bytes_all, bool skip_bad, TransferCounts& counts)
      : TextReader(in, bytes_all, skip_bad, counts) {}

 private:
  Wrong Next(Entry& entry) override {
    std::string line;
    do {
      if (Peek() < 0) return "";
      begin_line_ = line_;
      line.clear();
      bool too_long = false;
      for (int byte = Take(); byte >= 0 && byte != '\n'; byte = Take()) {
        too_long |= line.size() == kTextRecordBytesMax;
        if (!too_long) line.push_back(static_cast<char>(byte));
      }
      if (too_long) return "is too long";
    } while (line.find_first_not_of(" \t\r") == std::string::npos);
    return Parse(line, entry);
  }

  static Wrong Parse(const std::string& line, Entry& entry) {
    Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (json.is_discarded()) {
      return "is no JSON (what is not UTF-8 goes in base64, with \"encoding\": \"base64\")";
    }
    if (!json.is_object()) return "is no JSON object";
    TextRecord record;
    bool has_key = false;
    bool has_value = false;
    for (auto member = json.begin(); member != json.end(); ++member) {
      Json& value = member.value();
      bool good = false;
      if (member.key() == "key" || member.key() == "value") {
        const bool is_key = member.key() == "key";
        (is_key ? has_key : has_value) = true;
        good = value.is_string();
        if (good) (is_key ? record.key : record.value) = std::move(value.get_ref<std::string&>());
      } else if (member.key() == "ttl_ms") {
        good = value.is_null() || value.is_number_integer();
        if (value.is_number_integer()) {
          // A number that needs 64 bits unsigned is no time either.
          const bool huge = value.is_number_unsigned() && value.get<std::uint64_t>() >> 63 != 0;
          record.ttl_ms = huge ? -1 : value.get<std::int64_t>();
        }
      } else if (member.key() == "flags") {
        good = value.is_number_unsigned();
        if (good) record.flags = value.get<std::uint64_t>();
      } else if (member.key() == "encoding") {
        good = value.is_string();
        if (good) record.encoding = value.get<std::string>();
      } else {
        return "has \"" + member.key().substr(0, 32) +
               "\": known are key, value, ttl_ms, flags, encoding";
      }
      if (!good) return "has a \"" + member.key() + "\" of the wrong type";
    }
    if (!has_key || !has_value) return "lacks a key or a value";
    return ToEntry(std::move(record), entry);
  }
};

class JsonLinesWriter final : public TextWriter {
 public:
  JsonLinesWriter(Target target, TransferCounts& counts) : TextWriter(std::move(target), counts) {}

 private:
  std::string Line(const Entry& entry, std::int64_t ttl_ms) const override {
    const bool plain = IsUtf8(entry.key) && IsUtf8(entry.value);
    Json json = {{"key", plain ? entry.key : Base64(entry.key)},
                 {"value", plain ? entry.value : Base64(entry.value)}};
    if (entry.expiry_ms != 0) json["ttl_ms"] = ttl_ms;
    if (entry.flags != 0) json["flags"] = entry.flags;
    if (!plain) json["encoding"] = kBase64Name;
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
};

// ---- CSV --------------------------------------------------------------------------------------

constexpr std::array<std::string_view, 5> kColumns = {"key", "value", "ttl_ms", "flags",
                                                      "encoding"};
enum ColumnIndex : std::size_t {
  kKeyColumn,
  kValueColumn,
  kTtlColumn,
  kFlagsColumn,
  kEncodingColumn
};

class CsvReader final : public TextReader {
 public:
  CsvReader(std::istream& in, std::uint64_t bytes_all, bool skip_bad, TransferCounts& counts)
      : TextReader(in, bytes_all, skip_bad, counts) {}

 private:
  Wrong Begin() override {
    std::vector<std::string> names;
    if (Wrong wrong = NextFields(names)) {
      return wrong->empty() ? "there is no header: key,value,ttl_ms,flags,encoding" : wrong;
    }
    constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
    if (names[0].starts_with(kByteOrderMark)) names[0].erase(0, kByteOrderMark.size());
    std::array<bool, kColumns.size()> seen{};
    for (const std::string& name : names) {
      const auto* const column = std::find(kColumns.begin(), kColumns.end(), name);
      const auto index = static_cast<std::size_t>(column - kColumns.begin());
      if (column == kColumns.end() || seen[index]) {
        return "the header has \"" + name.substr(0, 32) +
               "\": once each it may name key, value, ttl_ms, flags, encoding";
      }
      seen[index] = true;
      columns_.push_back(index);
    }
    if (!seen[kKeyColumn] || !seen[kValueColumn]) return "the header lacks key or value";
    return std::nullopt;
  }

  Wrong Next(Entry& entry) override {
    std::vector<std::string> fields;
    if (Wrong wrong = NextFields(fields)) return wrong;
    if (fields.size() != columns_.size()) {
      return "has " + std::to_string(fields.size()) + " fields, the header " +
             std::to_string(columns_.size());
    }
    std::array<std::string, kColumns.size()> by_column;
    for (std::size_t i = 0; i < fields.size(); ++i) by_column[columns_[i]] = std::move(fields[i]);
    TextRecord record;
    if (!by_column[kTtlColumn].empty()) {
      record.ttl_ms.emplace();
      if (!Number(by_column[kTtlColumn], *record.ttl_ms)) return "has a ttl_ms that is no number";
    }
    if (!by_column[kFlagsColumn].empty() && !Number(by_column[kFlagsColumn], record.flags)) {
      return "has flags that are no number";
    }
    record.key = std::move(by_column[kKeyColumn]);
    record.value = std::move(by_column[kValueColumn]);
    record.encoding = std::move(by_column[kEncodingColumn]);
    return ToEntry(std::move(record), entry);
  }

  template <typename Integer>
  static bool Number(const std::string& text, Integer& number) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    return error == std::errc() && stop == end;
  }

  // The fields of the next record that is not an empty line. "": the end.
  Wrong NextFields(std::vector<std::string>& fields) {
    bool empty_line = true;
    while (empty_line) {
      if (Peek() < 0) return "";
      begin_line_ = line_;
      bytes_ = 0;
      fields.clear();
      empty_line = true;
      bool more = true;
      while (more) {
        const bool quoted = Peek() == '"';
        const Wrong wrong = quoted ? QuotedField(fields.emplace_back(), more)
                                   : PlainField(fields.emplace_back(), more);
        if (wrong) return wrong;
        empty_line = empty_line && !quoted && !more && fields.size() == 1 && fields[0].empty();
      }
    }
    return std::nullopt;
  }

  // The end of a field was read: a comma (`more`: another one follows), or the line's.
  bool EndsField(int byte, bool& more) {
    more = byte == ',';
    if (byte == '\r' && (Peek() == '\n' || Peek() < 0)) {
      if (Peek() == '\n') (void)Take();
      return true;
    }
    return byte == ',' || byte == '\n' || byte < 0;
  }
  void SkipLine(int byte) {
    while (byte >= 0 && byte != '\n') byte = Take();
  }
  Wrong TooLong(int byte) {
    SkipLine(byte);
    return "is too long";
  }

  Wrong PlainField(std::string& field, bool& more) {
    for (int byte = Take(); !EndsField(byte, more); byte = Take()) {
      if (++bytes_ > kTextRecordBytesMax) return TooLong(byte);
      if (byte == '"') {
        SkipLine(byte);
        return "has a quote in a field that does not begin with one";
      }
      field.push_back(static_cast<char>(byte));
    }
    return std::nullopt;
  }

  // "" is a quote; a comma and the ends of lines are as any other byte.
  Wrong QuotedField(std::string& field, bool& more) {
    (void)Take();
    while (true) {
      int byte = Take();
      if (byte < 0) return "ends within quotes";
      if (++bytes_ > kTextRecordBytesMax) return TooLong(byte);
      if (byte == '"') {
        byte = Take();
        if (EndsField(byte, more)) return std::nullopt;
        if (byte != '"') {
          SkipLine(byte);
          return "has text behind a closing quote";
        }
      }
      field.push_back(static_cast<char>(byte));
    }
  }

  std::vector<std::size_t> columns_;  // of the header: which of kColumns
  std::size_t bytes_ = 0;             // of the record
};

class CsvWriter final : public TextWriter {
 public:
  CsvWriter(Target target, TransferCounts& counts) : TextWriter(std::move(target), counts) {}

 private:
  std::string Header() const override { return "key,value,ttl_ms,flags,encoding\r\n"; }

  std::string Line(const Entry& entry, std::int64_t ttl_ms) const override {
    const bool plain = IsPlain(entry.key) && IsPlain(entry.value);
    std::string line = plain ? Field(entry.key) : Base64(entry.key);
    line += "," + (plain ? Field(entry.value) : Base64(entry.value)) + ",";
    if (entry.expiry_ms != 0) line += std::to_string(ttl_ms);
    line += ",";
    if (entry.flags != 0) line += std::to_string(entry.flags);
    line += ",";
    if (!plain) line += kBase64Name;
    return line + "\r\n";
  }

  static bool IsPlain(std::string_view bytes) {
    return bytes.find('\0') == std::string_view::npos && IsUtf8(bytes);
  }
  static std::string Field(const std::string& bytes) {
    if (bytes.find_first_of(",\"\r\n") == std::string::npos) return bytes;
    std::string quoted = "\"";
    for (const char c : bytes) {
      if (c == '"') quoted += '"';
      quoted += c;
    }
    return quoted + "\"";
  }
};

}  // namespace

// ---- Both -------------------------------------------------------------------------------------

std::unique_ptr<TextReader> TextReader::Make(TextFormat format, std::istream& in,
                                             std::uint64_t bytes_all, bool skip_bad,
                                             TransferCounts& counts) {
  if (format == TextFormat::kCsv) {
    return std::make_unique<CsvReader>(in, bytes_all, skip_bad, counts);
  }
  return std::make_unique<JsonLinesReader>(in, bytes_all, skip_bad, counts);
}

int TextReader::Take() {
  const int byte = in_.sbumpc();
  if (byte == std::streambuf::traits_type::eof()) return -1;
  ++bytes_read_;
  if (byte == '\n') ++line_;
  return byte;
}

Result<bool> TextReader::Read(std::vector<Entry>& batch) {
  if (!std::exchange(began_, true)) {
    if (const Wrong wrong = Begin()) return Error{ErrorCode::kInvalidArgument, "line 1: " + *wrong};
  }
  std::size_t bytes = 0;
  while (batch.size() < kBatchKeysMax && bytes < kBatchBytesMax) {
    Entry entry;
    const Wrong wrong = Next(entry);
    if (!wrong) {
      bytes += entry.bytes();
      batch.push_back(std::move(entry));
      continue;
    }
    if (wrong->empty()) return false;
    const std::string message = "line " + std::to_string(begin_line_) + " " + *wrong;
    if (!skip_bad_) {
      return Error{ErrorCode::kInvalidArgument,
                   message + "; --skip-bad leaves bad lines out and counts them"};
    }
    ++counts_.bad_lines;
    counts_.NoteError(message);
  }
  return true;
}

std::unique_ptr<TextWriter> TextWriter::Make(TextFormat format, Target target,
                                             TransferCounts& counts) {
  if (format == TextFormat::kCsv) return std::make_unique<CsvWriter>(std::move(target), counts);
  return std::make_unique<JsonLinesWriter>(std::move(target), counts);
}

std::optional<Error> TextWriter::Put(const std::string& text) {
  if (target_.out.write(text.data(), static_cast<std::streamsize>(text.size()))) {
    return std::nullopt;
  }
  return Error{ErrorCode::kIo, "cannot write to " + target_.name + ": is the disk full?"};
}

std::optional<Error> TextWriter::Write(std::vector<Entry> batch) {
  std::string text = std::exchange(began_, true) ? std::string() : Header();
  const std::int64_t now = UnixNow();
  for (const Entry& entry : batch) {
    text += Line(entry, std::max<std::int64_t>(entry.expiry_ms - now, 1));
    ++counts_.keys;
    counts_.bytes += entry.bytes();
  }
  return Put(text);
}

std::optional<Error> TextWriter::Finish() {
  if (!std::exchange(began_, true)) {
    if (std::optional<Error> error = Put(Header())) return error;
  }
  if (!target_.out.flush()) return Put("");
  return target_.finish();
}

}  // namespace gyre::client
