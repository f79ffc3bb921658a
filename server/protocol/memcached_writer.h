// Replies in the memcached text protocol.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/buffer.h"
#include "protocol/reply.h"
#include "protocol/request.h"

namespace gyre {

// What a call becomes depends on where it stands:
//
//    alone           a line: STORED, 42, VERSION 1.0
//    in a list       record: VALUE line and data; Null: nothing; else a line.  Then END
//    in a map        "STAT name value" for each pair.  Then END
//
// A list in which an element fails is replaced by the error as a whole: the protocol has no failure
// of a single key, and clients read the reply up to END or the first error line.
class MemcachedWriter final : public ReplyWriter {
 public:
  // The reply to `request` goes to `out`; nowhere if it is quiet.
  void Start(const Request& request, Buffer& out);

  void Null() override;
  void Word(Outcome outcome) override;
  void Text(std::string_view line) override;
  void Bulk(std::string_view bytes) override;
  void Integer(std::int64_t value) override;
  void Unsigned(std::uint64_t value) override;
  void Double(double value) override;
  void Boolean(bool value) override;
  void Fail(const Error& error) override;
  void BeginList(ListShape shape, std::size_t count) override;
  void EndList() override;
  void BeginRecord(const RecordHead& head) override;
  void Chunk(std::string_view bytes) override;
  void EndRecord() override;
  void Peer(std::string_view payload) override;
  void Reserve(std::size_t bytes) override { out_->Prepare(bytes + kReserveSlack); }
  std::size_t output_bytes() const override { return out_->size(); }
  void Restart() override;

 private:
  bool silent() const { return quiet_ || failed_; }
  void Line(std::string_view text);
  void Raw(std::string_view bytes);

  Buffer* out_ = nullptr;
  bool quiet_ = false;
  std::uint64_t binary_mark_ = 0;  // MemcachedBinary::Mark of a client of the binary protocol
  bool retrieval_ = false;   // get and its kin: END closes the reply also where it is not a list
  bool with_token_ = false;  // gets, gats: VALUE lines carry the CAS token

  // The reply that is being written.
  std::size_t depth_ = 0;  // of lists; inner ones are read as if their elements stood in the outer
  std::size_t begin_ = 0;  // with depth_ > 0: where the outermost list stands in *out_
  bool map_ = false;
  bool name_written_ = false;  // in a map: the value is next
  bool failed_ = false;        // the error is written; what is left of the list goes nowhere
};

}  // namespace gyre
