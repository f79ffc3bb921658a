// A reply that nobody will read: of a quiet request, or of a connection that is gone.
#pragma once

#include "protocol/reply.h"

namespace gyre {

// Without state, so that one serves all.
class DiscardWriter final : public ReplyWriter {
 public:
  static DiscardWriter& Instance() {
    static DiscardWriter writer;
    return writer;
  }

  void Null() override {}
  void Word(Outcome) override {}
  void Text(std::string_view) override {}
  void Bulk(std::string_view) override {}
  void Integer(std::int64_t) override {}
  void Unsigned(std::uint64_t) override {}
  void Double(double) override {}
  void Boolean(bool) override {}
  void Fail(const Error&) override {}
  void BeginList(ListShape, std::size_t) override {}
  void EndList() override {}
  void BeginRecord(const RecordHead&) override {}
  void Chunk(std::string_view) override {}
  void EndRecord() override {}
  void Peer(std::string_view) override {}
};

}  // namespace gyre
