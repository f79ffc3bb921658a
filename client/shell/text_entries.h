// Records as lines of text, for other programs: JSON lines and CSV.
//
// JSON lines: one object a line.
//   {"key": "k", "value": "v", "ttl_ms": 1500, "flags": 7, "encoding": "base64"}
// CSV (RFC 4180): a header that names the columns, in any order, then one record each.
//   key,value,ttl_ms,flags,encoding
//
// `key` and `value` must be there. ttl_ms: milliseconds that it will still live, from the moment of
// reading or writing; without it, null or "", it never expires. flags: memcached's, 0 if left out.
// encoding: "base64" means that both key and value are written in base64 (RFC 4648, padded), which
// the writer does where one of them is not UTF-8 (in CSV also where one has a NUL); "" is as none.
// What is not named here is refused, for a misspelt "ttl" would let records live for ever.
#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "client/shell/transfer.h"

namespace gyre::client {

enum class TextFormat : std::uint8_t { kJsonLines, kCsv };

// What a line, or a record of CSV, may have: the largest value, each byte escaped.
inline constexpr std::size_t kTextRecordBytesMax = std::size_t{4} << 30;

class TextReader : public EntrySource {
 public:
  // `bytes_all`: of the input, 0 where that is not known. `skip_bad`: bad lines are counted, and do
  // not end the reading.
  static std::unique_ptr<TextReader> Make(TextFormat format, std::istream& in,
                                          std::uint64_t bytes_all, bool skip_bad,
                                          TransferCounts& counts);

  Result<bool> Read(std::vector<Entry>& batch) override;
  Extent extent() const override { return {bytes_read_, bytes_all_}; }

 protected:
  TextReader(std::istream& in, std::uint64_t bytes_all, bool skip_bad, TransferCounts& counts)
      : in_(*in.rdbuf()), bytes_all_(bytes_all), skip_bad_(skip_bad), counts_(counts) {}

  // What stands where: the next record into `entry`. Nothing: it is good. "": the end. Else what is
  // wrong with it, and the reading goes on behind it.
  virtual std::optional<std::string> Next(Entry& entry) = 0;
  // Of the whole text: what is wrong before the first record, else nothing.
  virtual std::optional<std::string> Begin() { return std::nullopt; }

  // -1: the end.
  int Take();
  int Peek() { return in_.sgetc(); }
  // The number of the line at which the record of Next begins.
  std::uint64_t line_ = 1;  // of the byte that Take gives next
  std::uint64_t begin_line_ = 1;

 private:
  std::streambuf& in_;
  const std::uint64_t bytes_all_;
  const bool skip_bad_;
  TransferCounts& counts_;
  std::uint64_t bytes_read_ = 0;
  bool began_ = false;
};

class TextWriter : public EntrySink {
 public:
  // Where the lines go: an error ends the writing. `finish` is called once all are there, `abandon`
  // where they will not be.
  struct Target {
    std::ostream& out;
    std::string name;
    std::function<std::optional<Error>()> finish;
    std::function<void()> abandon;
  };
  static std::unique_ptr<TextWriter> Make(TextFormat format, Target target, TransferCounts& counts);

  std::optional<Error> Write(std::vector<Entry> batch) override;
  std::optional<Error> Finish() override;
  void Abandon() override { target_.abandon(); }

 protected:
  TextWriter(Target target, TransferCounts& counts) : target_(std::move(target)), counts_(counts) {}
  // With the line's end.
  virtual std::string Header() const { return {}; }
  virtual std::string Line(const Entry& entry, std::int64_t ttl_ms) const = 0;

 private:
  std::optional<Error> Put(const std::string& text);

  Target target_;
  TransferCounts& counts_;
  bool began_ = false;
};

}  // namespace gyre::client
