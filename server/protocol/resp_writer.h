// Replies in RESP2 and RESP3.
#pragma once

#include "base/buffer.h"
#include "protocol/reply.h"
#include "protocol/session.h"

namespace gyre {

// Every element says its own size in front, so nothing has to be remembered from one call to the
// next, nor patched: the writer is its output and the session, whose `resp_version` is read at each
// call (HELLO changes it between replies).
class RespWriter final : public ReplyWriter {
 public:
  explicit RespWriter(const Session& session) : session_(session) {}

  void Start(Buffer& out) { out_ = &out; }

  void Null() override;
  void Word(Outcome outcome) override;
  void Text(std::string_view line) override;
  void Bulk(std::string_view bytes) override;
  void Verbatim(std::string_view text) override;
  void Integer(std::int64_t value) override;
  void Unsigned(std::uint64_t value) override;
  void Double(double value) override;
  void Boolean(bool value) override;
  void Fail(const Error& error) override;
  void BeginList(ListShape shape, std::size_t count) override;
  void EndList() override {}
  void BeginPush(std::size_t count) override { Header(resp3() ? '>' : '*', count); }
  void BeginRecord(const RecordHead& head) override;
  void Chunk(std::string_view bytes) override;
  void EndRecord() override;
  void Record(const RecordHead&, std::string_view value) override { Bulk(value); }
  void Peer(std::string_view payload) override;
  void Reserve(std::size_t bytes) override { out_->Prepare(bytes + kReserveSlack); }
  std::size_t output_bytes() const override { return out_->size(); }

 private:
  bool resp3() const { return session_.resp_version >= 3; }
  void Header(char type, std::uint64_t number);
  void Raw(std::string_view bytes);

  const Session& session_;
  Buffer* out_ = nullptr;
};

}  // namespace gyre
